"""The attempts: one loop, one budget, one set of deadlines, one commit point. Plugins decide: `route` gives the plan,
`on_upstream_error` says retry, next, another model or fail; without one there is one attempt. Until the commit point retries
are invisible to the client; behind it an error is an event of its stream."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from time import monotonic

from msgspec import structs
from routeiq_sdk import Attempt, Call, ClientError, Fail, Failure, Model, Next, Plan, Request, Retry, Secret, UpstreamError
from routeiq_sdk.crossing import unsaid
from routeiq_sdk.resources import UpstreamResponse
from routeiq_sdk.stream import Error, Event
from routeiq_sdk.wire import patch

from ..runtime.graph import Bound
from ..runtime.guard import ask, fold
from .account import cost_of, count, must_count, usage_of
from .aside import tell_aside
from .context import Rc, Stopped
from .deadlines import MESSAGES, Deadlines, timed_out
from .egress import lossy
from .events import decoded, generated, note, stream_events, whole_events
from .executor import denied
from .owners import own, owner, read
from .raw import stream_raw

MAX_ATTEMPTS = 10
MAX_MODELS = 5
MAX_NAME = 512
JSON = (b"content-type", b"application/json")


class Refused(UpstreamError):
    """The provider answered with an error status: its own words go to a client of the same format."""

    def __init__(self, error: Error, status: int, headers: list[tuple[bytes, bytes]], body: bytes, format: str) -> None:
        super().__init__(error, "headers")
        self.status, self.headers, self.body, self.format = status, headers, body, format


async def answer(rc: Rc, request: Request) -> str:
    """Returns the outcome of a request that got its answer. Raises what ended it otherwise."""
    number = models = 0
    begun = monotonic()
    bounds = await plan(rc, request)
    rc.meant = bounds[0].deployment.provider
    place = 0
    while True:
        number += 1
        rc.bound = bound = bounds[place].speaking(rc.codec)
        try:
            return await _attempt(rc, request, bound, number, begun)
        except UpstreamError as error:
            if rc.gone:
                raise Stopped(Error(kind="cancelled", message="The client left."), "cancelled") from None
            if rc.forward and rc.forward.spent:
                raise
            decision = await _decide(rc, error, bound, number)
            if isinstance(decision, Model) and models < MAX_MODELS:
                models += 1
                request = rc.request = request.replace(model=decision.name)
                try:
                    bounds, place = await plan(rc, request), 0
                except (ClientError, Stopped):
                    raise error from None
                continue
            if isinstance(decision, Next):
                place += 1
            elif not isinstance(decision, Retry):
                raise
            if place >= len(bounds) or number >= MAX_ATTEMPTS:
                raise
            if monotonic() + decision.after_s > begun + rc.graph.settings.timeouts.total_s:
                raise
            rc.watch.until = float("inf")
            await asyncio.sleep(max(0.0, decision.after_s))


async def plan(rc: Rc, request: Request) -> Sequence[Bound]:
    """authorize → candidates → route: the deployments in the order to try. Raises `Stopped` or `ClientError`."""
    chains = rc.graph.chains
    if chains.authorize:
        refusal = await ask(chains.authorize, rc.watch, request, rc)
        if refusal is not None:
            raise denied(refusal)
    if len(request.model) > MAX_NAME:
        raise ClientError(f"model: longer than {MAX_NAME} characters", param="model", code="invalid_model")
    found = rc.graph.models.find(request.model) if rc.forward is None else rc.forward.found(request.model)
    if not found:
        raise ClientError(
            f"The model {request.model!r} does not exist or you do not have access to it.",
            kind="not_found",
            param="model",
            code="model_not_found",
        )
    if rc.surface.refers and request.members and rc.graph.models.accounts > 1:
        maker = await owner(rc, read(request.body, rc.surface.refers))
        found = [bound for bound in found if maker and bound.deployment.id == maker.deployment.id] or found
    by_id = {bound.deployment.id: bound for bound in found}
    candidates: Sequence[object] = [bound.deployment for bound in found]
    if chains.candidates:
        candidates = await fold(chains.candidates, rc.watch, candidates, request, rc)
        if not candidates:
            raise Stopped(
                Error(kind="overloaded", code="no_deployment", message=f"No deployment of {request.model!r} may serve this request now.")
            )
    chosen = await ask(chains.route, rc.watch, candidates, request, rc) if chains.route else None
    rc.plan = chosen or Plan(tuple(candidates), "as configured")  # type: ignore[arg-type]
    order = [by_id[deployment.id] for deployment in rc.plan.order if deployment.id in by_id]
    if not order:
        raise Stopped(Error(kind="server", code="empty_plan", message="Routing found no deployment for this request."))
    return order


async def _decide(rc: Rc, failure: UpstreamError, bound: Bound, number: int) -> Retry | Next | Model | Fail | None:
    chain = rc.graph.chains.on_upstream_error
    if not chain:
        return None
    seen = Failure(failure.error, bound.deployment, number, failure.phase)
    return await ask(chain, rc.watch, seen, rc)  # type: ignore[no-any-return]


async def _attempt(rc: Rc, request: Request, bound: Bound, number: int, begun: float) -> str:
    started = monotonic()
    error: Error | None = None
    outcome = "error"
    try:
        outcome = await _run(rc, request, bound, begun)
        return outcome
    except UpstreamError as failure:
        error, rc.detail = failure.error, failure.detail
        raise
    except Stopped as stopped:
        error, outcome = stopped.error, stopped.status
        raise
    except CancelledError:
        fired = rc.watch.fired
        if fired is not None and rc.egress.done:
            outcome = "complete"  # the client has it all; only the provider's last bytes were awaited
            rc.watch.disarm()
            return outcome
        if fired is None and not rc.watch.task.cancelling():
            error = Error(kind="server", code="internal_error", message="The provider's plugin cancelled itself.")
            raise UpstreamError(error, "body") from None
        if fired not in MESSAGES:
            outcome = "cancelled"
            raise
        error = timed_out(fired)
        rc.watch.disarm()
        if rc.first_token_s is not None or fired in ("draining", "reloaded"):
            raise Stopped(error) from None
        raise UpstreamError(error, "timeout") from None
    finally:
        ended = monotonic()
        first = rc.first_token_s + rc.started_s - started if rc.first_token_s is not None else None
        seen = Attempt(
            number=number, deployment=bound.deployment, outcome=outcome, error=error, first_token_s=first, duration_s=ended - started
        )
        rc.attempts.append(seen)
        if rc.graph.chains.on_attempt:
            rc.graph.live.spawn(tell_aside(rc.graph.live.watchdog, rc.graph.chains.on_attempt, seen, rc))


async def _run(rc: Rc, request: Request, bound: Bound, begun: float) -> str:
    deadlines = Deadlines(rc.graph.settings, bound.deployment, begun, request.stream)
    rc.usage = rc.finish = rc.first_token_s = rc.priced = None
    rc.losses, rc.dropped, rc.said, rc.encoder = (), 0, 0, None
    if request.stream:
        rc.egress.wait()
    rc.watch.until, rc.watch.what = deadlines.first, "first_token" if request.stream else "total"
    if rc.forward is not None:
        return await rc.forward.run(bound, deadlines)
    if request.operation == "count_tokens" and bound.codec is not rc.codec:
        return await _estimate(rc, request, bound)
    if bound.codec is None:
        return await _generate(rc, request, bound, deadlines)
    call = await prepared(rc, _call(rc, request, bound))
    assert bound.upstream is not None
    response = await bound.upstream.open(call)
    try:
        if response.status != 200:
            raise await refused(rc, response, bound)
        rc.egress.headers = bound.wire.return_headers(response.headers)
        same = bound.codec is rc.codec
        why = rc.graph.why
        if not request.stream:
            return await _whole(rc, request, response, bound, raw=same and not why["whole"])
        if not _is_stream(response):
            raise UpstreamError(await _not_a_stream(rc, response, bound), "headers")
        if same and not why["stream"]:
            rc.route_taken = "raw"
            return await stream_raw(rc, response, deadlines)
        rc.route_taken = "events"
        codec = bound.codec
        return await stream_events(rc, lambda watch: decoded(rc, response, codec, watch), deadlines)
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
    return rc.client_credentials if bound.deployment.provider == rc.meant else {}


def _call(rc: Rc, request: Request, bound: Bound) -> Call:
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
    error = bound.codec.parse_error(response.status, response.headers, body)
    headers = bound.wire.return_headers(response.headers)
    kind = header(response, b"content-type")
    own_words = bound.codec.name if body.lstrip()[:1] == b"{" else ""  # a page of HTML is no error that a client can read
    return Refused(error, response.status, [*([(b"content-type", kind)] if kind else []), *headers], body, own_words)
