"""Messages between processes: JSON objects, one per line. Both sides of a `Link` ask and answer."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]
MAX_BYTES = 256 * 1024 * 1024
MAX_UNREAD_BYTES, MAX_WAITING = 1024 * 1024, 256
log = logging.getLogger("routeiq.process")


def frame(message: Message) -> bytes:
    return json.dumps(message, default=str).encode() + b"\n"


async def read(reader: asyncio.StreamReader) -> Message | None:
    """None at the end of the stream. Raises `ValueError` for what is no message, or longer than the reader's limit."""
    try:
        line = await reader.readline()
        message = json.loads(line) if line else None
    except ConnectionError:
        return None
    except RecursionError:
        raise ValueError("the message is nested too deep") from None
    if line and not isinstance(message, dict):
        raise ValueError("the message is no object")
    return message


def failure(*errors: str) -> Message:
    return {"ok": False, "errors": list(errors)}


GONE = "the process has ended"


class Link:
    """`handle` answers what the other side asks, in a task of `tasks`."""

    def __init__(self, handle: Handler, tasks: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handle, self._tasks, self._reader, self._writer = handle, tasks, reader, writer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._gone, self._lost = False, 0

    @classmethod
    async def open(cls, sock: socket.socket, handle: Handler, tasks: asyncio.TaskGroup) -> Link:
        return cls(handle, tasks, *await asyncio.open_connection(sock=sock, limit=MAX_BYTES))

    def fileno(self) -> int:
        return int(self._writer.get_extra_info("socket").fileno())

    async def run(self) -> None:
        """Reads until the other side is gone, maybe within a message. Whoever still waits for an answer is told so."""
        try:
            with suppress(ValueError):
                while (message := await read(self._reader)) is not None:
                    if "op" in message:
                        self._tasks.create_task(self._answer(message))
                    else:
                        self._settle(message.pop("re"), message)
        finally:
            self._gone = True
            self._writer.close()
            for number in self._waiting:
                self._settle(number, failure(GONE))

    def _settle(self, number: int, answer: Message) -> None:
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    async def _answer(self, message: Message) -> None:
        answer = await self._handle(message)
        if "id" in message:
            self.tell({**answer, "re": message["id"]})

    def tell(self, message: Message) -> None:
        if not self._gone:
            self._writer.write(frame(message))

    def keeps_up(self, name: str) -> bool:
        """Whether the other side, which the log calls `name`, reads and answers. What plugins say goes only to one that does."""
        if self._writer.transport.get_write_buffer_size() <= MAX_UNREAD_BYTES and len(self._waiting) < MAX_WAITING:
            return True
        self._lost += 1
        if self._lost & (self._lost - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
            log.warning("%s does not keep up with its messages: %d of plugins are lost", name, self._lost)
        return False

    async def ask(self, message: Message, timeout_s: float) -> Message:
        """The answer; `ok` is false with `errors` where there is none."""
        if self._gone:
            return failure(GONE)
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.tell({**message, "id": number})
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return failure(f"no answer within {timeout_s:g} s")
        finally:
            del self._waiting[number]
