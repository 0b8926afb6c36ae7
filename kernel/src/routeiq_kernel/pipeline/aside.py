"""Notify hooks beside the request: their own task, their own watch."""

from __future__ import annotations

import asyncio
from typing import Any

from ..runtime.guard import Cells, tell
from .watchdog import Watch, Watchdog


async def tell_aside(watchdog: Watchdog, cells: Cells, *args: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    watch = Watch(task)
    watchdog.watches.add(watch)
    try:
        await tell(cells, watch, *args)
    finally:
        watchdog.watches.discard(watch)
