"""Whatever ends a request becomes an answer in the client's format and an outcome. With runtime/guard.py the only place that
catches `Exception`; an exception's own text never reaches the client."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Coroutine
from math import ceil, isfinite
from typing import Any

from msgspec import structs
from routeiq_sdk import ClientError, PluginFailure, UpstreamError
from routeiq_sdk.stream import Error

from ..pipeline.call import Refused
from ..pipeline.context import Rc, Stopped
from ..pipeline.deadlines import timed_out

log = logging.getLogger("routeiq.request")
INTERNAL = Error(kind="server", code="internal_error", message="The gateway failed; the request id leads to the reason in its log.")


async def serve(rc: Rc, work: Coroutine[Any, Any, str]) -> None:
    """Runs `work` to its end. Cancellation by strangers (the server going down) passes through."""
    refused: Refused | None = None
    try:
        rc.outcome_status = await work
        return
    except CancelledError:
        error = _cancelled(rc)
    except Stopped as stop:
        error, rc.outcome_status = stop.error, stop.status
    except ClientError as client:
        error = Error(kind=client.kind, message=client.message, param=client.param, code=client.code)
    except UpstreamError as upstream:
        error = upstream.error
        refused = upstream if isinstance(upstream, Refused) else None
    except PluginFailure as failure:
        rc.detail = f"plugin {failure.plugin}, hook {failure.hook}"
        error = Error(kind="server", code="plugin_failure", message=f"The plugin {failure.plugin!r} failed; the request was not processed.")
    except Exception:
        log.exception("unexpected failure", extra={"request_id": rc.request_id})
        error = INTERNAL
    if error is None:
        rc.outcome_status = rc.outcome_status or "cancelled"
        return
    rc.outcome_status, rc.outcome_error = rc.outcome_status or "error", error
    try:
        try:
            await respond(rc, error, refused)
        except PluginFailure:  # of `response_headers`
            rc.egress.plain = True
            await respond(rc, error, refused)
        except Exception:
            log.exception("an error could not be written", extra={"request_id": rc.request_id})
            rc.egress.plain = True
            await respond(rc, INTERNAL)
    except CancelledError:
        if rc.watch.fired is None:
            raise
        rc.watch.disarm()
    finally:
        refused = None  # its traceback holds this frame: a cycle that keeps the request until the next collection


async def contained(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """The last boundary, for what is off the data path: a failure ends its request, not its connection's task group."""
    try:
        await app(scope, receive, send)
    except Exception:
        log.exception("a request off the data path failed", extra={"request_id": scope.get("routeiq.request_id")})


def _cancelled(rc: Rc) -> Error | None:
    """None when there is nobody left to tell."""
    fired = rc.watch.fired
    if fired is None and not rc.watch.task.cancelling():
        return INTERNAL
    if fired is None:
        rc.outcome_status = "cancelled"
        raise
    rc.watch.disarm()
    if fired in ("gone", "client"):
        return None
    if fired == "body":
        return Error(kind="timeout", code="request_timeout", message="The request body did not arrive in time.")
    return timed_out(fired)


def _in_stream(rc: Rc, error: Error) -> bytes:
    """The encoder that wrote the stream knows its ids and numbers."""
    if rc.encoder is None:
        return rc.codec.stream_error(error, rc.request_id)
    return rc.encoder.feed([structs.replace(error, frame=None, request_id=error.request_id or rc.request_id)])


async def respond(rc: Rc, error: Error, refused: Refused | None = None) -> None:
    if rc.gone or rc.egress.ended:
        return
    egress = rc.egress
    if egress.started:
        if egress.streaming:
            await egress.end(_in_stream(rc, error))
        return
    rc.ingress.stop()
    rc.hang_up = rc.hang_up or not await rc.ingress.rest()
    if refused is not None and refused.format == rc.codec.name:
        await egress.whole(refused.status, refused.headers, refused.body)
        return
    status, headers, body = rc.codec.build_error(error, rc.request_id)
    known = {name for name, _ in headers}
    lines = [*headers, *(line for line in (refused.headers if refused else ()) if line[0] not in known)]
    wait_s = error.retry_after_s
    if wait_s is not None and isfinite(wait_s) and all(name != b"retry-after" for name, _ in lines):
        lines.append((b"retry-after", b"%d" % max(0, ceil(wait_s))))
    await egress.whole(status, lines, body)
