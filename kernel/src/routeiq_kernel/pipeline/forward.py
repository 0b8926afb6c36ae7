"""Requests that are passed on: bytes both ways between the client and a deployment, by way of authorisation, routing, attempts,
limits and accounting like any other. A JSON body is held, so that it can be sent again; any other is streamed, once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from time import monotonic, time
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from msgspec import json, structs
from routeiq_sdk import Call, ClientError, Content, FailureMode, Hold, Message, Request, UpstreamError
from routeiq_sdk.resources import UpstreamResponse
from routeiq_sdk.stream import Error, Text
from routeiq_sdk.wire import loads, members, patch, sse_data

from ..runtime.graph import Bound, account
from ..runtime.guard import fold
from ..runtime.surfaces import PART
from .attempts import Answer
from .call import header, own_credentials, prepared, refused, send_whole
from .context import Rc, Stopped
from .deadlines import Deadlines
from .ingress import is_upload
from .multipart import Upload, boundary_of
from .owners import disown, own, owner, read
from .recorder import Record
from .socket import relay

PASSED = ("accept", "content-type", "range", "sec-websocket-protocol")
RETURNED = frozenset((b"content-type", b"content-disposition", b"content-range", b"accept-ranges"))
SAFE = ":@!$&'()*+,;=~"
UNSAFE = re.compile(r"(^|/)(/|\.{1,2}(;[^/]*)?(/|$))|[\\\x00-\x1f\x7f]")
MAX_DEPTH, MAX_ENCODED = 64, 4


async def forward(rc: Rc, answer: Answer) -> str:
    _ask_gates(rc)
    job = rc.forward = Forward(rc)
    try:
        rc.request = job.request(await job.receive())
        if rc.graph.chains.on_request:
            rc.request = job.changed(rc.request, await fold(rc.graph.chains.on_request, rc.watch, rc.request, rc))
        return await answer(rc, rc.request)
    finally:
        rc.forward = None  # it holds rc
        if job.upload:
            job.upload.close()


class Forward:
    """`spent`: the body, or a part of it, is gone, so there is no second attempt."""

    def __init__(self, rc: Rc) -> None:
        self._rc = rc
        _check_path(rc)
        self.upload: Upload | None = None
        self.body, self.spans, self._by = b"", dict[str, tuple[int, int]](), ""
        self.spent = self._named = False
        self._only: tuple[str, Bound] | None = None

    async def receive(self) -> str:
        """The model that is asked for, once so much of the body is there that it is known."""
        rc, surface = self._rc, self._rc.surface
        name: Any = None
        if surface.kind == "socket":
            await rc.ingress.message()  # the handshake
        elif is_upload(surface, rc.headers):
            in_form = surface.model == "body"
            self.upload = Upload(rc, boundary_of(rc.headers.get("content-type") or "") if in_form else None)
            rc.watch.until, rc.watch.what = monotonic() + rc.graph.settings.timeouts.all_s, "total"
            name = await self.upload.model()
        else:
            self.body = await rc.ingress.body()
            rc.ingress.listen()
            rc.watch.until = float("inf")
            if rc.graph.live.recorder is not None:
                rc.record = Record(time())
                rc.record.request = self.body
            if surface.model == "body":
                self.spans = members(self.body)
                name = loads(self.body[slice(*self.spans["model"])]) if "model" in self.spans else None
        if surface.model == "query":
            name = next((value for key, value in parse_qsl(rc.query, max_num_fields=100) if key == "model"), None)
        elif surface.model == "path":
            name = rc.params["model"]
        if name is not None and (not isinstance(name, str) or not name):
            raise ClientError("model: expected a name", param="model", code="invalid_model")
        return await self._choose(name or rc.headers.get("x-routeiq-model"))

    async def _choose(self, name: str | None) -> str:
        rc, surface, self._named = self._rc, self._rc.surface, name is not None
        ids = {part: key != "rest" for key, value in rc.params.items() if key != "model" for part in value.split("/")}
        ids |= dict.fromkeys(read(self.body, surface.refers) if surface.refers and self.body else (), True)
        maker = await owner(rc, ids)
        found, self._by = maker or (None, "")
        bounds = [bound for bound in (rc.graph.models.find(name) if name else rc.graph.models.by_id.values()) if self._fits(bound)]
        if found is not None and self._fits(found) and (name is None or found.deployment.group == name):
            bounds = [found]
        elif name is not None and not (ids and surface.model == "none"):
            return name
        if not bounds:
            raise ClientError(f"No deployment{f' of {name!r}' if name else ''} serves this.", kind="not_found", code="no_deployment")
        if ids and surface.provider is None and len({account(bound) for bound in bounds}) > 1:
            message = f"It is not known which deployment has {next(iter(ids))[:100]!r}: name its model in the header x-routeiq-model."
            raise ClientError(message, kind="not_found", code="unknown_owner")
        self._only = (name or bounds[0].deployment.group, bounds[0])
        return self._only[0]

    def request(self, model: str) -> Request:
        rc = self._rc
        return Request(
            format=rc.codec.name, model=model, stream=False, body=self.body, parse=self.content, operation=rc.operation, members=self.spans
        )

    def changed(self, old: Request, new: Request) -> Request:
        """`new` is what `on_request` made of `old`. The model stays where an id or nothing at all says it."""
        if new is old:
            return old
        self.body, self.spans = new.body, dict(new.members)
        if new.edited:
            before, after = old.content, new.content
            if not self.spans or structs.replace(after, ext=before.ext) != before:
                raise ClientError("A rule of this gateway changes what is sent, which it cannot here.", kind="denied", code="unreadable")
            self.body = patch(self.body, self.spans, {name: after.ext.get(name) for name in {**before.ext, **after.ext}})
            self.spans = members(self.body)
        made = self.request(old.model)
        return made.replace(model=new.model) if self._only is None else made

    def found(self, model: str) -> Sequence[Bound]:
        """The deployments that may get it. Raises `ClientError` when the model has some, and none of them can."""
        if self._only is not None and self._only[0] == model:
            return (self._only[1],)
        known = self._rc.graph.models.find(model)
        fitting = [bound for bound in known if self._fits(bound)]
        if known and not fitting:
            raise ClientError(f"The model {model!r} does not serve {self._rc.surface.path}.", param="model", code="unsupported_model")
        return fitting

    def _fits(self, bound: Bound) -> bool:
        wanted = self._rc.surface.provider
        if wanted is not None:
            return bound.upstream is not None and bound.deployment.provider == wanted
        return bound.upstream is not None and self._rc.codec in bound.spoken

    def content(self, _request: Request) -> Content:
        """For whoever judges a request by its words: every text in a JSON body. `ext` has the members of one but for the model."""
        if self.upload or self._rc.surface.kind == "socket":
            raise ClientError("A rule of this gateway reads what is sent, which is not possible here.", kind="denied", code="unreadable")
        try:
            texts = [*_texts(loads(self.body))] if self.body else []
        except ValueError:
            texts = [self.body.decode("utf-8", "replace")]
        ext = {name: self.body[slice(*span)] for name, span in self.spans.items() if name != "model"}
        return Content(messages=(Message(role="user", parts=tuple(map(Text, texts))),) if texts else (), ext=ext)

    async def run(self, bound: Bound, deadlines: Deadlines) -> str:
        rc, upload = self._rc, self.upload
        rc.route_taken = "forward"
        call = await prepared(rc, self._call(bound))
        assert bound.upstream is not None
        if rc.surface.kind == "socket":
            return await relay(rc, bound.upstream, call)
        self.spent = upload is not None and not upload.ended
        try:
            response = await bound.upstream.open(call)
        except UpstreamError:
            if upload and upload.error:
                raise upload.error from None
            raise
        try:
            if not 200 <= response.status < 300:
                raise await refused(rc, response, bound)
            if rc.surface.model == "body" and header(response, b"content-type").lower().startswith(b"text/html"):
                error = Error(kind="bad_gateway", code="upstream_error", message="The provider answered with a page of HTML.")
                raise UpstreamError(error, "headers")
            if rc.method == "DELETE" and rc.params.keys() == {"id"}:
                await disown(rc, rc.params["id"])
            return await self._pass_on(response, bound, deadlines)
        finally:
            response.close()

    def _call(self, bound: Bound) -> Call:
        rc, surface, deployment = self._rc, self._rc.surface, bound.deployment
        params = {**rc.params, "model": deployment.model}
        path = PART.sub(lambda part: quote(params[part[1]], safe=SAFE + "/" * bool(part[2])), surface.upstream or surface.path)
        query = rc.query
        if surface.model == "query":
            name = "model=" + quote(deployment.model, safe="")
            query = "&".join([name if unquote(pair.partition("=")[0]) == "model" else pair for pair in query.split("&")])
        headers = [*bound.wire.forward_headers(rc.headers)]
        headers += [(name, value) for name in PASSED if (value := rc.headers.get(name)) is not None]
        body: Any = self.body
        if self.upload:
            model = deployment.model if self._named else ""
            length = self.upload.length(model)
            headers += [("content-length", str(length))] if length is not None else []
            body = self.upload.body(model)
        elif surface.model == "body" and self._named:
            edits: dict[str, bytes | None] = {name: value for name, value in deployment.defaults.items() if name not in self.spans}
            body = patch(self.body, self.spans, {**edits, "model": json.encode(deployment.model)})
        if surface.owns and rc.method == "POST" and body and not self.upload:  # it makes something: not to be sent twice
            headers.append(("content-length", str(len(body))))
            body = _once(body)
        return Call(
            deployment=deployment, path=path, headers=tuple(headers), body=body, stream=False, query=query, forwarded=True,
            method="GET" if surface.kind == "socket" else rc.method, connect_timeout_s=rc.graph.settings.timeouts.connect_s,
            credentials=own_credentials(rc, bound),
        )  # fmt: skip

    async def _pass_on(self, response: UpstreamResponse, bound: Bound, deadlines: Deadlines) -> str:
        """A JSON answer is held, for its usage and ids, unless it is too large; anything else leaves as it comes."""
        rc, kind = self._rc, header(response, b"content-type").lower()
        headers = [pair for pair in response.headers if pair[0] in RETURNED] + bound.wire.return_headers(response.headers)
        held: list[bytes] = []
        room = rc.graph.settings.limits.max_response_bytes if b"json" in kind and rc.method != "HEAD" else 0
        while room > 0 and (data := await response.chunk()):
            held.append(data)
            room -= len(data)
        rc.first_token_s = monotonic() - rc.started_s
        rc.usage = rc.surface.asks(self.body) if rc.surface.asks and self.body else None
        if room > 0:
            body = b"".join(held)
            if rc.record is not None:
                rc.record.add(rc.record.upstream, body)
            rc.usage = (rc.surface.usage or rc.codec.usage)(body) or rc.usage
            await own(rc, body, by=self._by)
            await send_whole(rc, body, response.status, headers)
            return "complete"
        await rc.egress.begin(response.status, [*headers, *(pair for pair in response.headers if pair[0] == b"content-length")])
        await self._stream(response, held, deadlines, events=kind.startswith(b"text/event-stream"))
        return "complete"

    async def _stream(self, response: UpstreamResponse, held: list[bytes], deadlines: Deadlines, events: bool) -> None:
        rc, reads = self._rc, self._rc.surface.usage
        framer = rc.codec.framer() if events and reads else None
        for data in held:
            await rc.egress.write(data)
        while True:
            rc.watch.until, rc.watch.what = deadlines.idle(), "idle"
            try:
                data = await response.chunk()
            except UpstreamError as error:
                raise Stopped(error.error, "truncated") from None
            if not data:
                return await rc.egress.end()
            for frame in framer.feed(data) if framer else ():
                usage = reads(sse_data(frame)) if reads and b'"usage' in frame else None
                rc.usage = usage.over(rc.usage) if usage and rc.usage else usage or rc.usage
            await rc.egress.write(data)


def _ask_gates(rc: Rc) -> None:
    """What judges answers does not see those that are passed on, so it must have said that it need not."""
    chains = rc.graph.chains
    for gate in [cell.manifest for cell in (*chains.on_stream_event, *chains.on_block, *chains.on_response)]:
        if gate.on_failure is FailureMode.CLOSED and gate.hold is not Hold.NOTHING and rc.operation not in gate.operations:
            message = f"The plugin {gate.name!r} judges answers and cannot see those of {rc.operation}."
            raise Stopped(Error(kind="denied", code="undeclared_operation", message=message), "denied")


def _check_path(rc: Rc) -> None:
    """Raises `ClientError` for a path that a server might take for one outside of where the surface is."""
    for text in rc.params.values():
        for _ in range(MAX_ENCODED):
            if UNSAFE.search(text):
                raise ClientError("The path is not one that may be passed on.", code="invalid_path")
            text = unquote(text)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and depth < MAX_DEPTH:
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each, depth + 1)
