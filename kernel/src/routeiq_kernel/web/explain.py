"""The decision record of a request that the operator asks about: it is read, judged and planned like any other, and sent nowhere.

What hooks up to `route` do to the state of plugins is done; `on_attempt` and `on_complete` do not run.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Any

from msgspec import Struct, ValidationError, convert, to_builtins
from routeiq_sdk import ClientError, Principal, Request
from routeiq_sdk.crossing import unsaid
from routeiq_sdk.wire import Headers

from ..pipeline.call import build_call, deadlines_of, lose
from ..pipeline.choose import plan
from ..pipeline.context import Rc, Receive
from ..pipeline.handle import work
from ..runtime.graph import Bound, Graph
from ..runtime.guard import fold_sync
from .errors import serve
from .inside import given, inner

PATH = "/v1/chat/completions"
FORESEEN = ("path", "because", "losses", "held_back", "hedge_after_s", "deadlines_s", "headers")
OPERATOR = Principal(id="explain", kind="operator")


class Question(Struct, frozen=True):
    """`body` is base64 in JSON."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


async def explain_message(graph: Graph, message: dict[str, Any]) -> dict[str, Any]:
    try:
        asked = convert(message, Question)
    except ValidationError as error:
        return _failure(str(error))
    headers = [(name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in asked.headers]
    return await explain(graph, asked.method, asked.path, Headers(headers), given(asked.body))


async def explain(graph: Graph, method: str, path: str, headers: Headers, receive: Receive) -> dict[str, Any]:
    """`errors` where it does not come as far as a decision. `path` may have a query."""
    try:
        rc = inner(graph, method, path, headers, receive, OPERATOR)
    except ClientError as unknown:
        return _failure(unknown.message)
    rc.gone = True  # nobody waits for an answer
    live, record = graph.live, dict[str, Any].fromkeys(FORESEEN)
    live.requests.add(rc)
    live.watchdog.watches.add(rc.watch)
    try:
        await serve(rc, work(rc, headers, partial(_foresee, record)))
    finally:
        rc.ingress.stop()
        live.watchdog.watches.discard(rc.watch)
        live.requests.discard(rc)
        del rc.ingress
        live.settle()
    request, error, is_denied = rc.request, rc.outcome_error, rc.outcome_status == "denied"
    if error is not None and not is_denied and not rc.choices:
        return _failure(error.message)
    known = {id: graph.models.by_id[id].deployment for choice in rc.choices for id in choice.candidates}
    return {
        "ok": True, "request_id": rc.request_id, "endpoint": f"{rc.method} {rc.path}", "operation": rc.operation, "format": rc.codec.name,
        "stream": request and request.stream, "asked": request and request.model_in, "model": request and request.model,
        "denied_by": (is_denied and rc.watch.answered) or None,
        "error": error and {"status": error.http_status, "code": error.code, "message": error.message},
        "choices": to_builtins(rc.choices), "deployments": {id: f"{each.provider}/{each.model}" for id, each in known.items()},
        "fallbacks": rc.fallbacks, **record,
    }  # fmt: skip


def _failure(error: str) -> dict[str, Any]:
    return {"ok": False, "errors": [error]}


async def _foresee(record: dict[str, Any], rc: Rc, request: Request) -> str:
    """In the place of `attempts.answer`."""
    record["headers"] = dict(fold_sync(rc.graph.chains.response_headers, (), rc))
    request, bounds = await plan(rc, request)
    bound, now, all_s = bounds[0].speaking(rc.codec), monotonic(), rc.graph.settings.timeouts.all_s
    ends = deadlines_of(rc, request, bound, now)
    first = {"first_content": ends.first - now, "idle": ends.idle() - now} if request.stream else {"attempt": ends.total - now}
    record["deadlines_s"] = {name: round(limit_s, 1) for name, limit_s in {**first, "total": all_s}.items()}
    record["held_back"] = ends.buffer
    record["hedge_after_s"] = rc.plan.hedge_after_s if rc.plan and len(bounds) > 1 else None
    record["path"], record["because"] = _path(rc, request, bound)
    if rc.forward is None and record["path"] != "local":
        if bound.codec is None:
            lose(rc, unsaid(request.content))
        else:
            build_call(rc, request, bound)
    record["losses"] = rc.losses
    return "complete"


def _path(rc: Rc, request: Request, bound: Bound) -> tuple[str, list[str]]:
    """How `call.run` will take the answer, and what forces it to be parsed."""
    if rc.forward is not None:
        return "forward", []
    is_same = bound.codec is rc.codec
    if request.operation != "chat":
        return ("raw" if is_same else "local"), []
    other = [] if is_same else [f"{bound.deployment.provider} speaks {bound.codec.name if bound.codec else 'events'}"]
    why = [*other, *rc.graph.why["stream" if request.stream else "whole"]]
    return ("events" if why else "raw"), why
