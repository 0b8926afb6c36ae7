"""`MODEL_CALLER`: a plugin's calls through the pipeline of the gateway that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from msgspec import json
from routeiq_sdk import Principal

from ..pipeline.attempts import Answer, answer, answer_once

Serve = Callable[[Principal, bytes, str, Answer, float], Coroutine[Any, Any, tuple[int, bytes]]]


class Caller:
    """The service, for one plugin."""

    def __init__(self, plugin: str) -> None:
        self._principal = Principal(id=f"gateway:{plugin}", kind="service")
        self._is_open = asyncio.Event()
        self._serve: Serve

    def open(self, serve: Serve) -> None:
        """The plugin's graph is committed."""
        self._serve = serve
        self._is_open.set()

    async def call(
        self, body: Mapping[str, Any], *, path: str = "/v1/chat/completions", deployment: str | None = None, once: bool = False,
        timeout_s: float = 60.0,
    ) -> tuple[int, bytes]:  # fmt: skip
        await self._is_open.wait()
        way: Answer = partial(answer_once, only=deployment) if once or deployment else answer
        # a task of its own: the watchdog cancels the task that it watches
        return await asyncio.create_task(self._serve(self._principal, json.encode(body), path, way, timeout_s))
