"""Callers of compiled chains, one per hook kind. Here, and only here and in web/errors.py, `Exception` is caught.

The guard turns failures into `PluginFailure`, applies the failure mode and meters. It notes the running cell in the task's
`Watch`; the one watchdog cancels overdue calls (a timeout scope per call costs tens of microseconds). One clock reading
serves as the end of one call and the start of the next.
"""

from __future__ import annotations

import re
from asyncio import CancelledError, timeout
from collections.abc import Sequence
from time import monotonic
from typing import Any

from routeiq_sdk import (
    Call,
    ClientError,
    Deny,
    Deployment,
    Fail,
    GraphError,
    Model,
    Next,
    Plan,
    Principal,
    Reject,
    Request,
    Response,
    Retry,
    RouteIQError,
)
from routeiq_sdk.stream import Block, Event, MessageEnd

from ..pipeline.watchdog import Watch
from .meter import Cell

Cells = tuple[Cell, ...]

NO_ARGUMENT: Any = object()
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
ANSWERS: dict[str, tuple[type, ...]] = {
    "authenticate": (Principal, Reject), "on_request": (Request,), "authorize": (Deny,), "candidates": (list, tuple), "route": (Plan,),
    "before_upstream": (Call,), "on_upstream_error": (Retry, Next, Model, Fail), "response_headers": (tuple,),
    "on_stream_event": (Event, Deny, list, tuple), "on_block": (Block, Deny, list, tuple), "on_response": (Response, Deny),
}  # fmt: skip
MEMBERS: dict[str, type] = {"candidates": Deployment, "on_stream_event": Event, "on_block": Block}


async def ask(cells: Cells, watch: Watch, first: Any, second: Any, third: Any = NO_ARGUMENT) -> Any:
    """gate and first: the first answer that is not None. Fixed arguments, because `*args` would cost 0.1 µs a call."""
    outer = watch.until, watch.what
    now = monotonic()
    try:
        for cell in cells:
            if cell.skip_until and cell.quarantined(now):
                continue
            watch.until, watch.what = now + cell.timeout_s, cell
            try:
                answer = await (cell.call(first, second) if third is NO_ARGUMENT else cell.call(first, second, third))
                if answer is not None:
                    _check(cell, answer)
            except CancelledError:
                answer = None
                _overdue(cell, watch)
            except ClientError:
                raise
            except Exception as error:
                answer = None
                if watch.fired is cell:
                    watch.disarm()
                cell.failed(error, now)
            else:
                if cell.misses:
                    cell.misses = 0
            if watch.fired is not None:
                _swallowed(cell, watch)
                answer = None
            ended = monotonic()
            cell.calls += 1
            cell.seconds += ended - now
            now = ended
            if answer is not None:
                return answer
        return None
    finally:
        watch.until, watch.what = outer


async def fold(cells: Cells, watch: Watch, value: Any, *args: Any) -> Any:
    """transform: each gets what the one before returned. A `Deny` ends it."""
    outer = watch.until, watch.what
    now = monotonic()
    try:
        for cell in cells:
            if cell.skip_until and cell.quarantined(now):
                continue
            watch.until, watch.what = now + cell.timeout_s, cell
            try:
                answer = await cell.call(value, *args)
                if answer is not None:
                    _check(cell, answer)
            except CancelledError:
                answer = None
                _overdue(cell, watch)
            except ClientError:
                raise
            except Exception as error:
                answer = None
                if watch.fired is cell:
                    watch.disarm()
                cell.failed(error, now)
            else:
                if cell.misses:
                    cell.misses = 0
            if watch.fired is not None:
                _swallowed(cell, watch)
                answer = None
            ended = monotonic()
            cell.calls += 1
            cell.seconds += ended - now
            now = ended
            if answer is not None:
                value = answer
                if type(answer) is Deny:
                    break
        return value
    finally:
        watch.until, watch.what = outer


async def tell(cells: Cells, watch: Watch, first: Any, second: Any = NO_ARGUMENT) -> None:
    """notify: all run, whatever becomes of the others."""
    outer = watch.until, watch.what
    now = monotonic()
    try:
        for cell in cells:
            if cell.skip_until and cell.quarantined(now):
                continue
            watch.until, watch.what = now + cell.timeout_s, cell
            try:
                await (cell.call(first) if second is NO_ARGUMENT else cell.call(first, second))
            except CancelledError:
                _overdue(cell, watch)
            except Exception as error:
                cell.failed(error, now)
            else:
                if cell.misses:
                    cell.misses = 0
            if watch.fired is not None:
                _swallowed(cell, watch)
            ended = monotonic()
            cell.calls += 1
            cell.seconds += ended - now
            now = ended
    finally:
        watch.until, watch.what = outer


def pass_event(cells: Cells, event: Event, rc: Any) -> Event | Sequence[Event] | Deny:
    """transform of `on_stream_event`, sync: the same object back means that nobody changed it."""
    now = monotonic()
    for place, cell in enumerate(cells):
        if cell.skip_until and cell.quarantined(now):
            continue
        try:
            answer = cell.call(event, rc)
            if answer is not None and answer is not event:
                _check(cell, answer)
        except ClientError:
            raise
        except Exception as error:
            answer = None
            cell.failed(error, now)
        else:
            if cell.misses:
                cell.misses = 0
        ended = monotonic()
        cell.calls += 1
        cell.seconds += ended - now
        now = ended
        if answer is None or answer is event:
            continue
        if isinstance(answer, Event):
            event = answer
        elif isinstance(answer, Deny):
            return answer
        else:
            return _pass_all(cells[place + 1 :], answer, rc)
    return event


def _pass_all(cells: Cells, events: Sequence[Event], rc: Any) -> Sequence[Event] | Deny:
    out: list[Event] = []
    for event in events:
        answer = pass_event(cells, event, rc) if cells else event
        if isinstance(answer, Deny):
            return answer
        out.extend((answer,) if isinstance(answer, Event) else answer)
    return out


def fold_sync(cells: Cells, value: Any, *args: Any) -> Any:
    for cell in cells:
        now = monotonic()
        if cell.skip_until and cell.quarantined(now):
            continue
        try:
            answer = cell.call(value, *args)
            if answer is not None:
                _check(cell, answer)
                value = answer
        except Exception as error:
            cell.failed(error, now)
        else:
            cell.misses = 0
        cell.calls += 1
        cell.seconds += monotonic() - now
    return value


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
        cell.closed = False
        return cell.failed(error, monotonic())


def _swallowed(cell: Cell, watch: Watch) -> None:
    """The plugin caught the cancellation and went on."""
    if watch.fired is not cell:
        raise CancelledError
    watch.disarm()
    cell.failed("it caught its own cancellation", monotonic())


def _overdue(cell: Cell, watch: Watch) -> None:
    """Cancelled inside a plugin: by the watchdog because of this very call, or by somebody else?"""
    if watch.fired is not cell:
        if watch.task.cancelling():
            raise
        cell.failed("it cancelled itself", watch.until)
        return
    watch.disarm()
    cell.failed(f"no answer within {cell.timeout_s:g} s (hook_timeout_s in its manifest)", watch.until)


def _are_headers(answer: Any) -> bool:
    return all(NAME.fullmatch(name) and VALUE.fullmatch(value) for name, value in answer)


def _ends(answer: Any) -> bool:
    return any(type(each) is MessageEnd for each in (answer if isinstance(answer, list | tuple) else (answer,)))


def _check(cell: Cell, answer: Any) -> None:
    allowed = ANSWERS.get(cell.hook)
    if allowed is None:
        return
    if not isinstance(answer, allowed):
        names = ", ".join(kind.__name__ for kind in allowed)
        raise TypeError(f"answered {type(answer).__name__}; allowed are {names} and None")
    if cell.hook == "response_headers" and not _are_headers(answer):
        raise TypeError("answered a header that is no latin-1 text of one line")
    if cell.hook == "on_stream_event" and _ends(answer):
        raise TypeError("answered a MessageEnd: only the provider ends an answer")
    member = MEMBERS.get(cell.hook)
    if member and isinstance(answer, list | tuple) and not all(isinstance(each, member) for each in answer):
        raise TypeError(f"answered a sequence with something else than {member.__name__} in it")


__all__ = ["Cells", "ask", "attempt_safely", "collect", "fold", "fold_sync", "pass_event", "tell"]
