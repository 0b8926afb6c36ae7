"""Notify hooks beside the request: a watch of their own, so that nothing that was meant for the request ends them."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

from ..runtime.guard import Cells, tell
from .watchdog import Watch

if TYPE_CHECKING:
    from ..runtime.graph import Live


async def tell_aside(live: Live, cells: Cells, *args: Any) -> None:
    """If strangers cancel the task, the hook that runs ends and the others get a task of their own."""
    task = asyncio.current_task()
    assert task is not None
    watch = Watch(task)
    watches = live.watchdog.watches
    watches.add(watch)
    live.asides.add(watch)
    try:
        await tell(cells, watch, *args)
    except CancelledError:
        left = cells[1 + [cell.plugin for cell in cells].index(watch.answered) :]
        if left and not live.draining:
            live.spawn(tell_aside(live, left, *args))
        raise
    finally:
        watches.discard(watch)
        live.asides.discard(watch)
