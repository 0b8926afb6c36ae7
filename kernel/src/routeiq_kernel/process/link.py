"""Messages between processes: one JSON object after its length (4 bytes, big-endian). Both sides of a `Link` ask and answer."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]
LENGTH = struct.Struct(">I")
MAX_BYTES = 256 * 1024 * 1024


def frame(message: Message) -> bytes:
    body = json.dumps(message, default=str).encode()
    return LENGTH.pack(len(body)) + body


async def read(reader: asyncio.StreamReader, limit_bytes: int) -> Message | None:
    """None at the end of the stream. Raises `ValueError` for what is no message, or too long."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > limit_bytes:
            raise ValueError(f"a message of {length} bytes")
        message = json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except RecursionError:
        raise ValueError("the message is nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("the message is no object")
    return message


def failure(*errors: str, **more: Any) -> Message:
    return {"ok": False, "errors": list(errors), **more}


class Link:
    """`handle` answers what the other side asks, in a task of `tasks`."""

    def __init__(self, handle: Handler, tasks: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handle, self._tasks, self._reader, self._writer = handle, tasks, reader, writer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._gone = False

    @classmethod
    async def open(cls, sock: socket.socket, handle: Handler, tasks: asyncio.TaskGroup) -> Link:
        return cls(handle, tasks, *await asyncio.open_connection(sock=sock))

    def fileno(self) -> int:
        return int(self._writer.get_extra_info("socket").fileno())

    async def run(self) -> None:
        """Reads until the other side is gone. Whoever still waits for an answer is told so."""
        try:
            while (message := await read(self._reader, MAX_BYTES)) is not None:
                number = message.pop("re", 0)
                answered = self._waiting.get(number) if isinstance(number, int) else None
                if answered is not None and not answered.done():
                    answered.set_result(message)
                elif "op" in message:
                    self._tasks.create_task(self._answer(message))
        finally:
            self._gone = True
            self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(failure("the process has ended"))

    async def _answer(self, message: Message) -> None:
        answer = await self._handle(message)
        if "id" in message:
            self.tell({**answer, "re": message["id"]})

    def tell(self, message: Message) -> None:
        if not self._gone:
            self._writer.write(frame(message))

    async def ask(self, message: Message, timeout_s: float) -> Message:
        """The answer; `ok` is false with `errors` where there is none."""
        if self._gone:
            return failure("the process has ended")
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.tell({**message, "id": number})
        try:
            async with asyncio.timeout(timeout_s):
                answer: Message = await future
                return answer
        except TimeoutError:
            return failure(f"no answer within {timeout_s:g} s")
        finally:
            del self._waiting[number]
