"""LiteLLM's answers as the bytes of an OpenAI-compatible provider.

They go to `UpstreamResponse`, so that the codec of that format reads them as it reads any provider's: its tolerance, its usage, its
completeness and the path that passes bytes on are not written twice. Two things LiteLLM makes up are taken back: the finish reason
of a stream that its provider cut off, and the token counts of a provider that gave none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from routeiq_sdk import UpstreamError
from routeiq_sdk.stream import Error

from .errors import Mask, Pairs, Refusal, frame, kept, lines, refusal

NULL = "finish_reason"
"""OpenAI's clients expect it with null."""
OWN = "provider_specific_fields"
DONE = b"data: [DONE]\n\n"
AHEAD = 16
"""Events that may wait for the client."""


def plain(model: Any) -> dict[str, Any]:
    """The members of one of LiteLLM's pydantic models that are there; LiteLLM keeps some as declared fields, some as extra ones.
    Reading an extra one, or one that is missing, as an attribute costs several times as much."""
    extra = model.__pydantic_extra__
    members = {**model.__dict__, **extra} if extra else model.__dict__
    made = {name: value for name, value in members.items() if (value is not None and name[0] != "_") or name == NULL}
    own = made.get(OWN)
    if own is not None and all(each is None for each in own.values()):
        del made[OWN]
    return made


encode = msgspec.json.Encoder(enc_hook=plain).encode


class Refused:
    """Implements `UpstreamResponse`: an answer with an error status."""

    def __init__(self, told: Refusal) -> None:
        self.status, self.headers = told.status, told.headers
        self._body = told.body

    async def chunk(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def read(self, limit_bytes: int) -> bytes:
        return await self.chunk()

    def close(self) -> None:
        """Nothing is open."""


class Whole:
    """Implements `UpstreamResponse`: a whole answer."""

    status = 200

    def __init__(self, response: Any, mask: Mask) -> None:
        self.headers = lines(kept(_headers(response), mask), b"application/json")
        self._body = encode(whole(response))

    async def chunk(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def read(self, limit_bytes: int) -> bytes:
        body = await self.chunk()
        if len(body) > limit_bytes:
            raise UpstreamError(Error(kind="bad_gateway", message=f"the answer is larger than {limit_bytes} bytes"), "body")
        return body

    def close(self) -> None:
        """LiteLLM has read the answer to its end."""


class Stream:
    """Implements `UpstreamResponse`: one SSE event for each chunk. They are read ahead, so that those that come to LiteLLM together
    go to the client together."""

    status = 200

    def __init__(
        self,
        wrapper: Any,
        failures: tuple[type[BaseException], ...],
        mask: Mask,
        end: Callable[[Any, asyncio.Task[None] | None], None],
    ) -> None:
        self.headers: Pairs = lines(kept(_headers(wrapper), mask), b"text/event-stream")
        self._wrapper, self._failures, self._mask, self._end = wrapper, failures, mask, end
        self._next = wrapper.__anext__
        self._over = self._finished = False
        self._reader: asyncio.Task[None] | None = None
        self._events: list[bytes] = []
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def chunk(self) -> bytes:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
            self._reader.add_done_callback(self._stopped)
        while not self._events:
            if self._reader.done():
                self._reader.result()
                return b""
            self._news.clear()
            await self._news.wait()
        data, self._events = b"".join(self._events), []
        self._room.set()
        return data

    async def _read(self) -> None:
        while event := await self._event():
            self._events.append(event)
            self._news.set()
            if len(self._events) >= AHEAD:
                self._room.clear()
                await self._room.wait()

    def _stopped(self, reader: asyncio.Task[None]) -> None:
        """asyncio logs an exception that nobody has looked at; a client that has left asks for no further chunk."""
        if not reader.cancelled():
            reader.exception()
        self._news.set()

    async def _event(self) -> bytes:
        while not self._over:
            if getattr(self._wrapper, "sent_stream_usage", False):
                return self._ended()  # asked again, LiteLLM would put the whole answer together a second time
            try:
                chunk = await self._next()
            except StopAsyncIteration:
                return self._ended()
            except self._failures as error:
                self._give_up(None)
                return frame(refusal(error, self._mask).body)
            said = self._checked(chunk)
            if said is not None:
                return frame(encode(said))
        return b""

    def _ended(self) -> bytes:
        self._over, self._wrapper = True, None
        return DONE if self._finished else b""

    def _checked(self, chunk: Any) -> dict[str, Any] | None:
        """Without what LiteLLM made up; None where nothing is left."""
        made = plain(chunk)
        choices = made["choices"] = [plain(choice) for choice in made["choices"]]
        for choice in choices:
            choice["delta"] = plain(choice["delta"])
            if choice[NULL] is not None:
                if was_told(self._wrapper):
                    self._finished = True
                else:
                    choice[NULL] = None
        usage = made.get("usage")
        if usage is None:
            return made
        made["choices"] = [choice for choice in choices if choice[NULL] is not None or choice["delta"]]
        if was_counted(self._wrapper):
            return {**made, "usage": counted(usage)}
        del made["usage"]
        return made if made["choices"] else None

    async def read(self, limit_bytes: int) -> bytes:
        parts, size = [], 0
        while data := await self.chunk():
            size += len(data)
            if size > limit_bytes:
                self.close()
                raise UpstreamError(Error(kind="bad_gateway", message=f"the answer is larger than {limit_bytes} bytes"), "body")
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        self._give_up(self._reader)

    def _give_up(self, reader: asyncio.Task[None] | None) -> None:
        if not self._over:
            self._over = True
            wrapper, self._wrapper = self._wrapper, None
            self._end(wrapper, reader)


def was_told(wrapper: Any) -> bool:
    """Whether the provider gave a finish reason; at the end of a body LiteLLM makes one in any case."""
    missing = object()
    told = [getattr(wrapper, name, missing) for name in ("received_finish_reason", "intermittent_finish_reason")]
    return any(value is not None for value in told)


def was_counted(wrapper: Any) -> bool:
    """Whether the provider gave token counts; LiteLLM counts for one that did not."""
    chunks = getattr(wrapper, "chunks", None)
    return chunks is None or any(getattr(each, "usage", None) is not None for each in chunks)


def whole(response: Any) -> dict[str, Any]:
    made = plain(response)
    made["choices"] = [_choice(choice) for choice in response.choices]
    usage = made.get("usage")
    if usage is not None:
        made["usage"] = counted(usage)
    return made


def _choice(choice: Any) -> dict[str, Any]:
    message = choice.message
    return {**plain(choice), "message": {**plain(message), "content": message.content}}


def counted(usage: Any) -> dict[str, Any]:
    """LiteLLM's name for tokens written to a cache, as OpenAI's usage has it."""
    made = plain(usage)
    details = made.get("prompt_tokens_details")
    if details is not None:
        details = made["prompt_tokens_details"] = plain(details) if hasattr(details, "__pydantic_extra__") else dict(details)
        written = details.get("cache_creation_tokens") or made.get("cache_creation_input_tokens")
        if written:
            details.setdefault("cache_write_tokens", written)
    return made


def _headers(answer: Any) -> Mapping[str, Any]:
    hidden = getattr(answer, "_hidden_params", None)
    headers = hidden.get("additional_headers") if isinstance(hidden, Mapping) else None
    return headers if isinstance(headers, Mapping) else {}
