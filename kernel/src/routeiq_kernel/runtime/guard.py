"""Callers of compiled chains, one per hook kind. Here, and only here and in web/errors.py, `Exception` is caught.

The guard turns failures into `PluginFailure`, applies the failure mode and meters. It notes the running cell in the task's
`Watch`; the one watchdog cancels overdue calls (a timeout scope per call costs tens of microseconds). One clock reading
serves as the end of one call and the start of the next.
"""

from __future__ import annotations

import re
from asyncio import CancelledError, timeout
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from routeiq_sdk import Call, ClientError, Deployment, GraphError, Request, Response, RouteIQError
from routeiq_sdk.decisions import Deny, Fail, Model, Next, Plan, Principal, Reject, Rescue, Retry
from routeiq_sdk.stream import Block, Event, MessageEnd

from ..pipeline.watchdog import Watch
from .meter import Cell

Cells = tuple[Cell, ...]

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
ANSWERS: dict[str, tuple[type, ...]] = {
    "authenticate": (Principal, Reject), "on_request": (Request,), "authorize": (Deny,), "candidates": (list, tuple), "route": (Plan,),
    "before_upstream": (Call,), "on_upstream_error": (Retry, Next, Model, Rescue, Fail), "response_headers": (tuple,),
    "on_stream_event": (Event, Deny, list, tuple), "on_block": (Block, Deny, list, tuple), "on_response": (Response, Deny),
}  # fmt: skip
LOOKED_INTO = frozenset(("candidates", "response_headers", "on_stream_event", "on_block"))
"""Hooks whose answer's members are checked as well."""
MEMBERS: dict[str, type] = {"candidates": Deployment, "on_stream_event": Event, "on_block": Block}


async def _run(ends: bool, cells: Cells, watch: Watch, value: Any, *args: Any) -> Any:
    """The first answer where one `ends` the chain, else what became of `value`. Notify hooks answer None and change nothing."""
    outer = watch.until, watch.what
    usual, last = len(args) == 1, args and args[-1]  # unpacking `args` costs 0.1 µs a call
    now = monotonic()
    try:
        for cell in cells:
            if cell.skip_until and cell.quarantined(now):
                continue
            watch.until = now + cell.timeout_s
            watch.what = cell
            try:
                answer = await (cell.call(value, last) if usual else cell.call(value, *args))
                if watch.fired is not None:
                    raise CancelledError  # the plugin caught it
                if answer is not None:
                    answer = _checked(cell, answer)
                if cell.misses:
                    cell.misses = 0
            except (Exception, CancelledError) as error:
                answer = None
                cause = _cause(cell, watch, error)
                if watch.fired is not None:
                    raise CancelledError from None  # it was meant for the whole task
                if cause is None:
                    watch.answered = cell.plugin
                    raise
                cell.failed(cause)
            ended = monotonic()
            cell.calls += 1
            cell.seconds += ended - now
            now = ended
            if answer is None:
                continue
            if ends or type(answer) is Deny:
                watch.answered = cell.plugin
                return answer
            value = answer
        return None if ends else value
    finally:
        watch.until, watch.what = outer


ask = partial(_run, True)
"""gate and first: the first answer that is not None."""
fold = partial(_run, False)
"""transform: each gets what the one before returned. A `Deny` ends it."""
tell = partial(_run, False)
"""notify: all run, whatever becomes of the others."""


def fold_sync(cells: Cells, value: Any, rc: Any) -> Any:
    """transform and notify of the sync hooks: the same object back means that nobody changed it. Several events go on one by one."""
    now = monotonic()
    for place, cell in enumerate(cells):
        if cell.skip_until and cell.quarantined(now):
            continue
        try:
            answer = cell.call(value, rc)
            if answer is not None and answer is not value:
                answer = _checked(cell, answer)
            if cell.misses:
                cell.misses = 0
        except (Exception, CancelledError) as error:
            answer = None
            if cell.may_refuse and isinstance(error, ClientError):
                raise
            cell.failed(error)
        ended = monotonic()
        cell.calls += 1
        cell.seconds += ended - now
        now = ended
        if answer is None or answer is value:
            continue
        if isinstance(value, Event) and not isinstance(answer, Event):
            return answer if isinstance(answer, Deny) else _fold_each(cells[place + 1 :], answer, rc)
        value = answer
    return value


pass_event: Callable[[Cells, Event, Any], Event | Sequence[Event] | Deny] = fold_sync
"""`on_stream_event`."""


def _fold_each(cells: Cells, events: Sequence[Event], rc: Any) -> Sequence[Event] | Deny:
    out: list[Event] = []
    for event in events:
        answer = pass_event(cells, event, rc)
        if isinstance(answer, Deny):
            return answer
        out.extend((answer,) if isinstance(answer, Event) else answer)
    return out


def collect(cell: Cell, *args: Any) -> list[Any]:
    """collect: at build, so every failure is a start-up error."""
    try:
        answer = cell.call(*args)
        return list(answer.items() if isinstance(answer, dict) else answer or ())
    except RouteIQError:
        raise
    except Exception as error:
        raise GraphError(f"plugin {cell.plugin}, hook {cell.hook}: {type(error).__name__}: {error}") from error


async def attempt_safely(cell: Cell, *args: Any) -> Any:
    """A lone call (`on_config_changed`): the answer, or None when it failed; closed or open makes no difference."""
    try:
        async with timeout(cell.timeout_s):
            return await cell.call(*args)
    except Exception as error:
        return cell.failed(error)


def attempt(cell: Cell, *args: Any) -> Any:
    """The same for a sync call."""
    try:
        return cell.call(*args)
    except (Exception, CancelledError) as error:
        return cell.failed(error)


def _cause(cell: Cell, watch: Watch, error: BaseException) -> BaseException | str | None:
    """What the plugin did wrong; None where the failure is not its own."""
    if watch.fired is cell:
        watch.disarm()
        return f"no answer within {cell.timeout_s:g} s (hook_timeout_s in its manifest)"
    if isinstance(error, CancelledError):
        return None if watch.task.cancelling() else "it cancelled itself"
    return None if cell.may_refuse and isinstance(error, ClientError) else error


def _checked(cell: Cell, answer: Any) -> Any:
    """The answer, None of hooks whose answer means nothing."""
    allowed = ANSWERS.get(cell.hook)
    if allowed is None:
        return None
    if not isinstance(answer, allowed):
        names = ", ".join(kind.__name__ for kind in allowed)
        raise TypeError(f"answered {type(answer).__name__}; allowed are {names} and None")
    if cell.hook not in LOOKED_INTO:
        return answer
    several = answer if isinstance(answer, list | tuple) else (answer,)
    if cell.hook == "response_headers" and not all(NAME.fullmatch(name) and VALUE.fullmatch(value) for name, value in several):
        raise TypeError("answered a header that is no latin-1 text of one line")
    if cell.hook == "on_stream_event" and any(type(each) is MessageEnd for each in several):
        raise TypeError("answered a MessageEnd: only the provider ends an answer")
    member = MEMBERS.get(cell.hook)
    if member and several is answer and not all(isinstance(each, member) for each in several):
        raise TypeError(f"answered a sequence with something else than {member.__name__} in it")
    return answer
