"""The way of one request: authenticate, read, parse, decide, attempt; then settle, exactly once."""

from __future__ import annotations

import re
from asyncio import CancelledError
from time import monotonic, time
from typing import Any

from msgspec import structs
from routeiq_sdk import ClientError, Outcome, Principal, Reject
from routeiq_sdk.stream import Error
from routeiq_sdk.wire import Headers

from ..runtime.guard import ask, fold
from .account import bill, count, must_count
from .aside import tell_aside
from .attempts import Answer, answer
from .call import JSON
from .context import CREDENTIALS, Rc, Stopped
from .forward import forward
from .ingress import is_upload, too_large
from .recorder import Record

CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


async def work(rc: Rc, headers: Headers, answer: Answer = answer) -> str:
    """Returns the outcome; raises whatever ended the request. One that comes with its principal is not authenticated."""
    rc.headers = Headers([pair for pair in headers.raw if pair[0] not in CREDENTIALS])
    check_head(rc, headers)
    if rc.principal is None:
        await _authenticate(rc, headers)
    if rc.surface.kind != "generate":
        return await _local(rc) if rc.surface.kind == "local" else await forward(rc, answer)
    body = await rc.ingress.body()
    rc.ingress.listen()
    rc.watch.until = float("inf")
    request = rc.request = rc.codec.parse_request(body, rc.asked())
    if rc.graph.live.recorder is not None:
        rc.record = Record(time())
        rc.record.request = body
    chains = rc.graph.chains
    if chains.on_request:
        request = rc.request = await fold(chains.on_request, rc.watch, request, rc)
    return await answer(rc, request)


def check_head(rc: Rc, headers: Headers) -> None:
    """What the server's parser lets through and no client should send."""
    limits = rc.graph.settings.limits
    if len(headers.raw) > limits.max_headers:
        raise Stopped(
            Error(
                kind="headers_too_large", code="too_many_headers", message=f"The request has more than {limits.max_headers} header fields."
            )
        )
    names, values = map(b"".join, zip(*headers.raw, strict=True)) if headers.raw else (b"", b"")
    if len(names) + len(values) > limits.max_header_bytes:
        raise Stopped(
            Error(kind="headers_too_large", code="headers_too_large", message=f"The headers exceed {limits.max_header_bytes} bytes.")
        )
    length = headers.get("content-length")
    if length is not None:
        if "transfer-encoding" in headers:
            rc.hang_up = True  # what follows on this connection may be another's request (RFC 9112, 6.1)
            raise ClientError("The request has both Content-Length and Transfer-Encoding.", code="ambiguous_length")
        limit = limits.max_upload_bytes if is_upload(rc.surface, headers) else limits.max_body_bytes
        if int(length) > limit:
            raise Stopped(too_large(limit))
    if CONTROL.search(values):
        raise ClientError("A header holds control characters.", code="invalid_header")
    if headers.get("content-encoding") not in (None, "identity"):
        raise ClientError("Compressed request bodies are not accepted: send identity.", kind="invalid_request", code="content_encoding")


async def _authenticate(rc: Rc, headers: Headers) -> None:
    principal: Any = None
    chain = rc.graph.chains.authenticate
    if chain:
        principal = await ask(chain, rc.watch, headers, rc)
    if principal is None and rc.graph.settings.allow_anonymous:
        principal = Principal(id="anonymous", kind="anonymous")
    if isinstance(principal, Reject):
        raise Stopped(Error(kind="authentication", code=principal.code, message=principal.message), "denied")
    if principal is None:
        raise Stopped(
            Error(kind="authentication", code="missing_api_key", message="No API key: send it as Authorization: Bearer or x-api-key."),
            "denied",
        )
    rc.principal = principal
    rc.keep_credentials(headers.raw, principal.consumed)


async def _local(rc: Rc) -> str:
    rc.route_taken = "local"
    if rc.surface.handler is None:
        await rc.egress.whole(200, [JSON], rc.codec.models(rc.graph.entries(rc.params.get("model")), rc.asked()))
        return "complete"
    reply = await rc.surface.handler(rc)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append(JSON)
    await rc.egress.whole(reply.status, headers, reply.body)
    return "complete"


async def settle(rc: Rc) -> None:
    """Exactly once, however the request ended. `on_complete` runs in the request's task, which has nothing else left to do: another
    one would cost as much as twenty plugins."""
    rc.ingress.stop()
    rc.egress.close()
    live, chains, task = rc.graph.live, rc.graph.chains, rc.watch.task
    live.watchdog.watches.discard(rc.watch)
    live.watchdog.quiet.discard(rc.egress)
    live.requests.discard(rc)
    del rc.ingress, rc.egress  # they hold rc: without this cycle a request's megabytes go when it ends, not at the next collection
    if not (chains.on_complete or rc.record):
        live.settle()
    elif must_count(rc) or task.cancelling():
        live.spawn(_count_and_tell(rc, monotonic()))
    else:
        live.tasks.add(task)
        try:
            await _tell(rc, outcome(rc, monotonic()))
        except CancelledError:
            pass  # the client has its answer: there is nothing left to stop
        finally:
            live.done(task)


async def _count_and_tell(rc: Rc, ended_s: float) -> None:
    await count(rc)
    await _tell(rc, outcome(rc, ended_s))


async def _tell(rc: Rc, ended: Outcome) -> None:
    live, chains = rc.graph.live, rc.graph.chains
    if rc.record and live.recorder is not None:
        live.recorder.offer(rc, ended)
    if chains.on_complete:
        await tell_aside(live, chains.on_complete, ended, rc)


def outcome(rc: Rc, ended_s: float) -> Outcome:
    usage, cost = bill(rc)
    if rc.attempts and rc.priced:
        rc.attempts[-1] = structs.replace(rc.attempts[-1], usage=rc.priced[0], cost=rc.priced[1])
    first_s = None
    for each in rc.attempts:
        if each.first_token_s is not None:
            first_s = each.started_s + each.first_token_s
            break
    return Outcome(
        status=rc.outcome_status, http_status=rc.http_status, error=rc.outcome_error, usage=usage, cost=cost,
        finish=rc.finish, model=rc.request.model if rc.request else "", deployment=rc.bound.deployment if rc.bound else None,
        attempts=tuple(rc.attempts), path=rc.route_taken, duration_s=ended_s - rc.started_s,
        first_token_s=first_s, bytes_out=rc.bytes_out, dropped_events=rc.dropped, losses=rc.losses, choices=tuple(rc.choices),
    )  # fmt: skip
