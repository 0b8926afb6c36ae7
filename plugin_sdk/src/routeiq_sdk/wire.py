"""What codecs are made of: headers, SSE framing, JSON with surgical edits, and the codec protocol itself.

A codec is stateless; `framer()`, `decoder()`, `encoder()` and `tap()` make the state of one answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from .errors import ClientError
from .request import Request
from .resources import Deployment
from .stream import Error, Event, UsageParts

MAX_EVENT_BYTES = 64 * 1024 * 1024
CR = 13
"""As a number: `CR in data` costs an eighth of `b"\\r" in data`."""


class Headers:
    """Request headers: lower-case names; `get` gives the first value as str."""

    __slots__ = ("_map", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.raw = list(raw)
        self._map: dict[bytes, bytes] = dict(reversed(self.raw))

    def get(self, name: str) -> str | None:
        value = self._map.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def all(self, name: str) -> list[str]:
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def __contains__(self, name: str) -> bool:
        return name.encode("latin-1") in self._map

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((key.decode("latin-1"), value.decode("latin-1")) for key, value in self.raw)


class SseFramer:
    """Cuts a byte stream into SSE events, each with its own line endings (WHATWG: LF, CR or CRLF; a BOM at the start is
    dropped). Any split of the input gives the same frames. Raises `ValueError` on an event over 64 MB."""

    __slots__ = ("_rest", "_started")

    _END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        rest = self._rest
        if not self._started:
            data = bytes(rest) + data
            rest.clear()
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                rest += data
                return []
            self._started = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        if not rest and data.endswith(b"\n\n") and not data.endswith(b"\n\n\n") and CR not in data:
            if data.find(b"\n\n") == len(data) - 2:
                return [data]
            if data.startswith(b"data: "):
                parts = data[6:-2].split(b"\n\ndata: ")  # takes half of the time of the other
                if data.count(b"\n") == 2 * len(parts):
                    return [b"data: " + part + b"\n\n" for part in parts]
            return [part + b"\n\n" for part in data[:-2].split(b"\n\n")]
        at = max(0, len(rest) - 3)  # an end has at most four bytes, so only these of the old ones may belong to one
        rest += data
        if len(rest) > MAX_EVENT_BYTES:
            raise ValueError("an event is larger than 64 MB")
        ends = [match.end() for match in self._END.finditer(rest, at)]
        if ends and ends[-1] == len(rest) and rest.endswith(b"\r"):
            ends.pop()  # the LF of this CRLF may still come
        frames = [bytes(rest[start:end]) for start, end in pairwise([0, *ends])]
        del rest[: ends[-1] if ends else 0]
        return frames

    def close(self) -> list[bytes]:
        """The last event, if the body ended without its blank line."""
        rest = bytes(self._rest)
        self._rest.clear()
        return [rest] if rest.strip(b"\r\n") else []


def sse_data(frame: bytes) -> bytes:
    """The data of one SSE event: its `data:` lines joined by LF; b"" if it has none."""
    if frame.startswith(b"data: ") and frame.endswith(b"\n\n") and frame.find(b"\n", 0, -2) < 0 and CR not in frame:
        return frame[6:-2]
    lines = [line[5:] for line in _lines(frame) if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines)


def sse_event(frame: bytes) -> str:
    """The `event:` name of one SSE event, "" if it has none."""
    for line in _lines(frame):
        if line.startswith(b"event:"):
            return line[6:].strip(b" ").decode("utf-8", "replace")
    return ""


def _lines(frame: bytes) -> list[bytes]:
    return frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


_LONE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)


def mend(data: bytes) -> bytes:
    """JSON whose lone surrogate escapes, which msgspec refuses, are U+FFFD. The length stays, so spans fit the original."""
    if (b"\\ud" not in data and b"\\uD" not in data) or b"\0" in data:  # no JSON has a NUL
        return data
    hidden = data.replace(rb"\\", b"\0\0")  # then every backslash begins an escape of its own
    return _LONE.sub(rb"\\ufffd", hidden).replace(b"\0\0", rb"\\")


_raw_object = msgspec.json.Decoder(dict[str, Raw])
_KEY = re.compile(rb'[ \t\r\n]*[,{][ \t\r\n]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_COMMA = re.compile(rb"[ \t\r\n]*([,}])")
TWICE = "The request body names a member twice."
_CLOSE = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")


def members(body: bytes) -> dict[str, tuple[int, int]]:
    """Span of each top-level member's value in a JSON object. Raises `ClientError` (400) with the place for anything that is
    not UTF-8 JSON, not an object, nested too deep, or names a member twice."""
    try:
        if not body.isascii():
            body.decode("utf-8")
        values = _raw_object.decode(body)
    except UnicodeDecodeError as error:
        raise ClientError(f"The request body is not valid UTF-8 (byte {error.start}).") from None
    except RecursionError:
        raise ClientError("The request body is nested too deeply.") from None
    except msgspec.ValidationError:
        raise ClientError("The request body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        mended = mend(body)
        if mended != body:
            return members(mended)
        raise ClientError(f"The request body is not valid JSON: {error}.") from None
    spans: dict[str, tuple[int, int]] = {}
    at = 0
    for name, raw in values.items():
        key = _KEY.match(body, at)
        if key is None:
            raise ClientError(TWICE)
        start = key.end()
        at = start + len(memoryview(raw))
        if not body.startswith(raw, start):
            raise ClientError(TWICE)
        spans[name] = (start, at)
    if values and not _CLOSE.fullmatch(body, at):
        raise ClientError(TWICE)
    return spans


def patch(body: bytes, spans: Mapping[str, tuple[int, int]], edits: Mapping[str, bytes | None]) -> bytes:
    """`body` with some top-level values replaced by raw JSON, new members appended, or (None) removed; all other bytes stay.
    `spans` are those of `members`, in their order."""
    cuts = [(*spans[name], value) for name, value in edits.items() if name in spans and value is not None]
    gone = {name for name, value in edits.items() if name in spans and value is None}
    if gone:
        cuts += _removals(body, spans, gone)
    added = [json.dumps(name).encode() + b":" + value for name, value in edits.items() if name not in spans and value is not None]
    if added:
        close = body.rindex(b"}")
        cuts.append((close, close, (b"," if len(spans) > len(gone) else b"") + b",".join(added)))
    out: list[bytes] = []
    at = 0
    for start, end, value in sorted(cuts):
        out += (body[at:start], value)
        at = end
    out.append(body[at:])
    return b"".join(out)


def _removals(body: bytes, spans: Mapping[str, tuple[int, int]], gone: Collection[str]) -> Iterator[tuple[int, int, bytes]]:
    """A member goes with the comma before it, or with the one after it where no member is left before it."""
    at, kept = body.index(b"{") + 1, False
    for name, (_, end) in spans.items():
        if name in gone:
            after = None if kept else _COMMA.match(body, end)
            yield at, after.end() if after and after.group(1) == b"," else end, b""
        kept = kept or name not in gone
        at = end if kept else body.find(b",", end) + 1


def loads(data: bytes | str) -> Any:
    """JSON → plain values; falls back to `json` for what msgspec alone refuses (lone surrogates). Raises `ValueError`."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def member(request: Request, name: str, limit_bytes: int = 64 * 1024) -> Any:
    """The value of one top-level member of the body, without parsing the others; None where it is absent, longer or unreadable."""
    start, end = request.members.get(name, (0, 0))
    try:
        return loads(request.body[start:end]) if 0 < end - start <= limit_bytes else None
    except (ValueError, RecursionError):
        return None


dumps = msgspec.json.encode
"""Compact JSON bytes; accepts `msgspec.Raw` for parts that are JSON already."""


class Signal(Struct, frozen=True, gc=False):
    """What RAW and the attempts loop learn from one frame, without events."""

    content: bool = False
    """Commits: content, a finish reason or the terminal event."""
    terminal: bool = False
    drop: bool = False
    """Malformed, or withheld because only the gateway asked for it."""
    error: Error | None = None
    forward: bytes | None = None
    """Bytes to send instead of the frame (a repair); None sends the frame."""


PASS = Signal()
CONTENT = Signal(content=True)
"""What a tap answers for nearly every frame: the same objects each time, so that the kernel may compare by identity."""


class Tap(Protocol):
    """Watches one streamed answer on the RAW path. `complete` says whether, if the body ended now, the answer would be whole."""

    usage: UsageParts | None
    finish: str | None
    complete: bool
    dropped: int

    def feed(self, frame: bytes) -> Signal: ...

    def plain(self, frames: Sequence[bytes]) -> bool:
        """Whether all these are content that passes as it is. False: they must be fed one by one."""
        ...

    def missing_end(self) -> bytes:
        """Bytes that make a complete stream end as its format asks; b"" where nothing is missing."""
        ...


class Decoder(Protocol):
    """Frames → events. Never raises for any bytes: what cannot be read becomes an `Error` or is dropped and counted.
    `complete`: if the body ended now, the answer would be whole."""

    dropped: int

    @property
    def complete(self) -> bool: ...

    def feed(self, frame: bytes) -> list[Event]: ...

    def close(self) -> list[Event]:
        """The body ended: `MessageEnd` if it was complete without its terminal event, else nothing."""
        ...


class Encoder(Protocol):
    """Events → bytes that satisfy the format's oracle. Consecutive events of one frame of the same format, all `frame.count`
    of them, leave as `frame.data`. `losses` are the report names (`out.citations;drop`) of what could not be expressed so far."""

    losses: Sequence[str]

    def feed(self, events: Sequence[Event]) -> bytes: ...


class Built(Struct, frozen=True):
    """A request in the provider's format. `losses`: report names with `;drop` or `;approx`."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    losses: tuple[str, ...] = ()


class Asked(Struct, frozen=True, kw_only=True):
    """What of a request stands outside its body. `params` are the named parts of the surface's path, percent-decoded;
    `path` is without the base path."""

    operation: str = "chat"
    path: str = ""
    query: str = ""
    params: Mapping[str, str] = {}
    headers: Headers = Headers(())


class ModelEntry(Struct, frozen=True, kw_only=True):
    """A model name of the configuration, with its limits where the model catalogue knows them."""

    id: str
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    owned_by: str = "routeiq"


class Codec(Protocol):
    """A wire format. `keepalive` is the bytes that its clients ignore between events."""

    name: str
    keepalive: bytes
    stream_type: str
    """Content type of a streamed answer."""

    def parse_request(self, body: bytes, asked: Asked) -> Request:
        """Checks the envelope and the types of known members. Raises `ClientError`."""
        ...

    def edits(self, request: Request, deployment: Deployment) -> dict[str, bytes | None]:
        """Same format in and out: the top-level members to change for this deployment."""
        ...

    def build_request(self, request: Request, deployment: Deployment) -> Built:
        """Another format in, or an edited request. Raises `ClientError` for what must not be approximated."""
        ...

    def upstream_path(self, request: Request, deployment: Deployment) -> str: ...

    def framer(self) -> SseFramer: ...

    def tap(self, request: Request) -> Tap: ...

    def decoder(self) -> Decoder: ...

    def encoder(self, request: Request) -> Encoder: ...

    def explode(self, body: bytes) -> list[Event]:
        """A whole answer as the events of its stream, all sharing one frame; ends in `MessageEnd` or `Error`."""
        ...

    def collect(self, events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
        """The whole answer that these events make. Report names of what it cannot express are added to `losses`."""
        ...

    def usage(self, body: bytes) -> UsageParts | None:
        """Usage of a whole answer, without building events."""
        ...

    def check(self, body: bytes) -> Error | None:
        """What is wrong with a whole answer of status 200: an error inside, HTML, no JSON."""
        ...

    def parse_error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error: ...

    def build_error(self, error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, extra headers (content type included) and body."""
        ...

    def stream_error(self, error: Error, request_id: str) -> bytes:
        """The error event that ends a stream."""
        ...

    def estimate_tokens(self, request: Request) -> int:
        """Input tokens, estimated offline: for providers without a count call."""
        ...

    def count_reply(self, tokens: int) -> bytes:
        """The answer to operation "count_tokens"."""
        ...

    def models(self, models: Sequence[ModelEntry], asked: Asked) -> bytes:
        """The list of models in the format's shape, paged where the format pages; where the path names one (`asked.params["model"]`),
        `models` holds that one alone, and it is the answer."""
        ...

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        """Violations of the format's stream rules in a whole streamed body."""
        ...
