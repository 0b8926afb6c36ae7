"""One attempt: build the provider's request, send it, pass the answer on. What fails here is for `attempts` to decide about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic

from msgspec import structs
from routeiq_sdk import Call, ClientError, Request, Secret, UpstreamError
from routeiq_sdk.crossing import unsaid
from routeiq_sdk.resources import UpstreamResponse
from routeiq_sdk.stream import Error, Event
from routeiq_sdk.wire import patch

from ..runtime.graph import Bound, home
from ..runtime.guard import fold
from .account import cost_of, count, must_count, usage_of
from .context import Rc
from .deadlines import USUAL, Deadlines
from .egress import lossy
from .events import decoded, generated, note, stream_events, whole_events
from .hedge import Race
from .owners import own
from .raw import stream_raw

JSON = (b"content-type", b"application/json")


class Refused(UpstreamError):
    """The provider answered with an error status: its own words go to a client of the same format."""

    def __init__(self, error: Error, status: int, headers: list[tuple[bytes, bytes]], body: bytes, format: str) -> None:
        super().__init__(error, "headers")
        self.status, self.headers, self.body, self.format = status, headers, body, format


async def run(rc: Rc, request: Request, bound: Bound, rival: Bound | None, begun: float) -> str:
    """Returns the outcome. Raises `UpstreamError` before the commit point, `Broken` or `Stopped` after it."""
    if request.stream:
        rc.egress.wait()
    deadlines = deadlines_of(rc, request, bound, begun)
    rc.usage = rc.finish = rc.first_token_s = rc.priced = None
    rc.losses, rc.dropped, rc.said = (), 0, 0
    rc.encoder = rc.rescue.encoder if rc.rescue else None
    if rc.kept and rc.rescue is None:
        rc.kept = []  # of an attempt whose answer never left
    rc.watch.until, rc.watch.what = deadlines.first, "first_token" if request.stream else "total"
    if rc.forward is not None:
        return await rc.forward.run(bound, deadlines)
    if request.operation == "count_tokens" and bound.codec is not rc.codec:
        return await _estimate(rc, request, bound)
    if bound.codec is None:
        return await _generate(rc, request, bound, deadlines)
    if rival is not None and rival.codec is not None and rc.plan is not None and rc.plan.hedge_after_s is not None:
        runners = Race(rc, request, partial(_make_call, rc, request), partial(_open, rc))
        response = await runners.run(bound, rival, rc.plan.hedge_after_s)
        bound = rc.bound or bound
    else:
        response = await _open(rc, bound, await _make_call(rc, request, bound))
    try:
        rc.egress.headers = bound.wire.return_headers(response.headers)
        same = bound.codec is rc.codec
        why = rc.graph.why
        if not request.stream:
            return await _whole(rc, request, response, bound, raw=same and not why["whole"])
        if not _is_stream(response):
            raise UpstreamError(await _not_a_stream(rc, response, bound), "headers")
        if same and not why["stream"] and rc.rescue is None:
            rc.route_taken = "raw"
            return await stream_raw(rc, response, deadlines)
        rc.route_taken = "events"
        codec = bound.codec
        assert codec is not None
        return await stream_events(rc, lambda watch: decoded(rc, response, codec, watch), deadlines)
    finally:
        response.close()


def deadlines_of(rc: Rc, request: Request, bound: Bound, begun: float) -> Deadlines:
    policy, terms = rc.graph.attempt_policy, None
    if request.stream:
        terms = (policy.stream_terms(bound.deployment, rc) if policy else None) or USUAL
    return Deadlines(rc.graph.settings, bound.deployment, begun, terms)


async def _make_call(rc: Rc, request: Request, bound: Bound) -> Call:
    return await prepared(rc, build_call(rc, request, bound))


async def _open(rc: Rc, bound: Bound, call: Call) -> UpstreamResponse:
    assert bound.upstream is not None
    response = await bound.upstream.open(call)
    if response.status == 200:
        return response
    try:
        raise await refused(rc, response, bound)
    finally:
        response.close()


async def prepared(rc: Rc, call: Call) -> Call:
    """As `before_upstream` wants it."""
    if not rc.graph.chains.before_upstream:
        return call
    changed = await fold(rc.graph.chains.before_upstream, rc.watch, call, rc)
    return structs.replace(call, headers=changed.headers, query=changed.query)


def lose(rc: Rc, losses: Sequence[str]) -> None:
    """Report what the conversion of the request loses. Raises `ClientError` where that is not wanted."""
    if losses:
        asked = rc.headers.get("x-routeiq-strict")
        is_strict = rc.graph.settings.strict_conversion if asked is None else asked.lower() in ("1", "true")
        if is_strict:
            told = lossy(tuple(losses)).decode()
            raise ClientError(f"This model cannot express everything that was asked: {told}.", code="lossy_conversion")
    rc.losses = tuple(losses)


def own_credentials(rc: Rc, bound: Bound) -> Mapping[str, Secret]:
    """The client's provider credentials, for the provider that its request was first meant for and no other."""
    return rc.client_credentials if home(bound.deployment) == rc.meant else {}


def build_call(rc: Rc, request: Request, bound: Bound) -> Call:
    codec, deployment = bound.codec, bound.deployment
    assert codec is not None
    headers, connect_s = bound.wire.forward_headers(rc.headers), rc.graph.settings.timeouts.connect_s
    if codec is rc.codec and not request.edited:
        body = patch(request.body, request.members, codec.edits(request, deployment))
        path = codec.upstream_path(request, deployment)
        return Call(
            deployment=deployment, path=path, headers=headers, body=body, stream=request.stream, query=rc.query,
            connect_timeout_s=connect_s, credentials=own_credentials(rc, bound),
        )  # fmt: skip
    built = codec.build_request(request, deployment)
    lose(rc, built.losses)
    return Call(
        deployment=deployment,
        path=built.path,
        headers=(*headers, *built.headers),
        body=built.body,
        stream=request.stream,
        connect_timeout_s=connect_s,
        credentials=own_credentials(rc, bound),
    )


async def _whole(rc: Rc, request: Request, response: UpstreamResponse, bound: Bound, raw: bool) -> str:
    codec = bound.codec
    assert codec is not None
    body = await response.read(rc.graph.settings.limits.max_response_bytes)
    if rc.record is not None:
        rc.record.add(rc.record.upstream, body)
    wrong = codec.check(body)
    if wrong is not None:
        raise UpstreamError(wrong, "body")
    rc.first_token_s = monotonic() - rc.started_s
    if rc.surface.owns and codec is rc.codec:
        await own(rc, body)
    if raw or request.operation != "chat":
        rc.route_taken = "raw"
        rc.usage = codec.usage(body)
    else:
        rc.route_taken = "events"
        events = codec.explode(body)
        out = await whole_events(rc, events)
        if out is not events or codec is not rc.codec:
            body = _collect(rc, out)
    if rc.usage is None and rc.graph.counter is not None and request.operation == "chat" and not rc.said:
        note(rc, codec.explode(body))  # the provider did not count
    await send_whole(rc, body)
    return "complete"


def _collect(rc: Rc, events: Sequence[Event]) -> bytes:
    losses = list(rc.losses)
    assert rc.request is not None
    body = rc.codec.collect(events, rc.request, losses)
    rc.losses = tuple(losses)
    return body


async def send_whole(rc: Rc, body: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = (JSON,)) -> None:
    if must_count(rc):
        await count(rc)
    rc.ingress.stop()
    cost = cost_of(rc, usage_of(rc))
    priced = [(b"x-routeiq-cost", str(cost).encode())] if cost is not None else []
    await rc.egress.whole(status, [*headers, *rc.egress.headers, *priced], body)


async def _estimate(rc: Rc, request: Request, bound: Bound) -> str:
    """A count for a provider that has no call for it in the client's format."""
    rc.route_taken = "local"
    counter = rc.graph.counter
    if counter is None:
        tokens, estimated = rc.codec.estimate_tokens(request), True
    else:
        _ = request.content  # it raises here what is wrong with the request
        tokens, estimated = await asyncio.to_thread(counter.count_request, request, bound.deployment)
    told = [(b"x-routeiq-estimated", b"tokens")] if estimated else []
    await rc.egress.whole(200, [JSON, *told], rc.codec.count_reply(tokens))
    return "complete"


async def _generate(rc: Rc, request: Request, bound: Bound, deadlines: Deadlines) -> str:
    rc.route_taken = "events"
    lose(rc, unsaid(request.content))
    await prepared(rc, Call(deployment=bound.deployment, path="", headers=(), body=b"", stream=request.stream))  # it tells who counts
    events = bound.events.generate(request, bound.deployment)
    if request.stream:
        return await stream_events(rc, lambda _: generated(events), deadlines)
    out: Sequence[Event] = await whole_events(rc, [event async for event in events])
    rc.first_token_s = monotonic() - rc.started_s
    await send_whole(rc, _collect(rc, out))
    return "complete"


def header(response: UpstreamResponse, wanted: bytes) -> bytes:
    return next((value for name, value in response.headers if name == wanted), b"")


def _is_stream(response: UpstreamResponse) -> bool:
    return header(response, b"content-type").lower().startswith(b"text/event-stream")


async def _not_a_stream(rc: Rc, response: UpstreamResponse, bound: Bound) -> Error:
    """A stream was asked for and something else came: perhaps an error with status 200."""
    assert bound.codec is not None
    body = await response.read(1_000_000)
    wrong = bound.codec.check(body)
    kind = header(response, b"content-type").decode("latin-1") or "no content type"
    return wrong or Error(
        kind="bad_gateway", code="upstream_error", message=f"The provider answered 200 {kind} where a stream was asked for."
    )


async def refused(rc: Rc, response: UpstreamResponse, bound: Bound) -> Refused:
    assert bound.codec is not None
    if response.status < 400:
        message = f"The provider answered {response.status}; redirects are not followed."
        raise UpstreamError(Error(kind="bad_gateway", code="upstream_error", message=message), "headers")
    body = await response.read(1_000_000)
    told = header(response, b"x-should-retry")
    error = structs.replace(
        bound.codec.parse_error(response.status, response.headers, body),
        should_retry=told == b"true" if told in (b"true", b"false") else None,
    )
    headers = bound.wire.return_headers(response.headers)
    kind = header(response, b"content-type")
    own_words = bound.codec.name if body.lstrip()[:1] == b"{" else ""  # a page of HTML is no error that a client can read
    return Refused(error, response.status, [*([(b"content-type", kind)] if kind else []), *headers], body, own_words)
