"""What an answer is made of: blocks, and the events that build them, for every wire format.

Events are immutable. One that carries a `frame` and was not replaced leaves as the provider's own bytes, so
to change an event use `replace(event, value=...)`, which drops the frame; never build a frame yourself.
Order rules (checked by `routeiq_sdk.testing.check_events`): `MessageStart` first; a block is opened, filled and
closed once, before its choice's `Stop`; block indices are dense per choice from 0; blocks may interleave;
`MessageEnd` or `Error` is last. A stream without either was cut.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Raw, Struct, structs

ERROR_STATUS: dict[str, int] = {
    "invalid_request": 400, "context_length": 400, "content_policy": 400, "authentication": 401, "billing": 402,
    "permission": 403, "denied": 403, "not_found": 404, "method": 405, "timeout": 408, "conflict": 409, "too_large": 413,
    "unprocessable": 422, "rate_limit": 429, "headers_too_large": 431, "cancelled": 499, "server": 500, "bad_gateway": 502,
    "overloaded": 503, "over_capacity": 503, "draining": 503, "gateway_timeout": 504, "version": 505,
}  # fmt: skip
"""Error kind → the HTTP status that the gateway gives it. Codecs map kinds to their format's own names."""


class Frame:
    """One provider event as it arrived: an SSE event with its line endings, or a whole body.

    `count` is how many events were decoded from it: an encoder of the same format writes `data` once when all of
    them pass unchanged.
    """

    __slots__ = ("count", "data", "format")

    def __init__(self, format: str, data: bytes, count: int = 1) -> None:
        self.format, self.data, self.count = format, data, count


class Seal(Struct, frozen=True):
    """Opaque reasoning state that only `family` (anthropic, openai, …) may receive back, unaltered."""

    value: str
    family: str
    model: str = ""


class Cache(Struct, frozen=True):
    """A prompt-cache breakpoint on a part or tool. `native` is its JSON in its own format."""

    ttl_s: int | None = None
    native: bytes = b""


class Block(Struct, frozen=True, kw_only=True):
    """Base of all parts and blocks. `native` is the block's raw JSON in `origin`, given back unchanged to that format."""

    native: bytes = b""
    origin: str = ""
    cache: Cache | None = None


class Citation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a piece of text rests on. `kind`: url, document, file, search_result. `start` and `end` count in `unit`: char, page,
    block, byte. `native` is its JSON in `origin`, given back unchanged to that format."""

    kind: str = "url"
    cited_text: str | None = None
    title: str | None = None
    url: str | None = None
    file_id: str | None = None
    doc_index: int | None = None
    start: int | None = None
    end: int | None = None
    unit: str = "char"
    native: Raw = Raw(b"null")
    origin: str = ""


class Text(Block, frozen=True):
    """`logprobs` is a raw JSON array of OpenAI's token objects (token, bytes, logprob, top_logprobs). `phase`: commentary or
    final_answer."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    logprobs: bytes = b""
    signature: Seal | None = None
    phase: str | None = None


class Media(Block, frozen=True):
    """Exactly one of `data` (base64), `url`, `file_id`, `text` is set. `modality`: image, audio, video, document."""

    modality: str
    mime: str = ""
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    filename: str | None = None
    title: str | None = None
    detail: str | None = None
    id: str | None = None
    transcript: str | None = None


class Reasoning(Block, frozen=True):
    """`form`: thinking, summary, raw, redacted, encrypted, compaction."""

    form: str = "thinking"
    text: str = ""
    seal: Seal | None = None
    item_id: str | None = None


class Refusal(Block, frozen=True):
    text: str = ""


class ToolCall(Block, frozen=True):
    """`args` is the raw JSON text of the arguments, as sent ("" means {}); custom tools use `input` instead.
    `owner`: client or provider (a server tool). `kind`: function, custom, or the kind of server tool (web_search, web_fetch, code,
    file_search, image, mcp, …). `seal` is a signature that belongs to the call (Gemini)."""

    call_id: str
    name: str
    args: str = ""
    input: str | None = None
    owner: str = "client"
    kind: str = "function"
    namespace: str = ""
    item_id: str | None = None
    seal: Seal | None = None


class ToolResult(Block, frozen=True):
    call_id: str
    parts: tuple[Block, ...] = ()
    is_error: bool = False
    name: str = ""
    owner: str = "client"
    kind: str = "function"
    item_id: str | None = None


class OpaqueBlock(Block, frozen=True):
    """A block of a type no codec knows; `native` is all there is."""

    type: str


class Event(Struct, frozen=True, kw_only=True, gc=False):
    frame: Frame | None = None
    choice: int = 0
    synthetic: bool = False
    """Made by the gateway or a plugin, not by the provider."""


class MessageStart(Event, frozen=True, kw_only=True):
    id: str = ""
    model: str = ""
    created_s: int | None = None
    role: str = "assistant"
    extras: bytes = b""
    """Raw JSON of the native opening object, for fields that no codec knows."""


class BlockStart(Event, frozen=True, kw_only=True):
    index: int
    block: Block
    """An empty shell; its content follows in deltas."""


class BlockDelta(Event, frozen=True, kw_only=True):
    """`field`: text (also of reasoning and refusal blocks), args, input, signature (replaces), citation (a `Citation` as JSON),
    logprobs (a JSON array as in `Text.logprobs`), data (base64 of media), transcript."""

    index: int
    field: str
    value: str


class BlockStop(Event, frozen=True, kw_only=True):
    index: int
    block: Block | None = None
    """The block's final native form, where the wire gave one."""


class UsageParts(Struct, frozen=True, kw_only=True):
    """Token counts in disjoint parts; `None` is unknown. Their sum is the provider's total. `native` is the provider's own object.

    `cache_write` are tokens written to a cache of 5 minutes (or of the provider's only lifetime), `cache_write_1h` to one of an
    hour. `modalities` says how much of a part is not text: `("input.audio", 12)`, `("output.image", 1290)`. `estimated`: counted
    by the gateway, because the provider gave none or the client left. `units` are what may be charged by the piece: image, second (of
    audio), character, query. `tier` is the service tier that the answer says it was served with, where that is not in `native`.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    modalities: tuple[tuple[str, int], ...] = ()
    units: tuple[tuple[str, Decimal], ...] = ()
    estimated: bool = False
    tier: str | None = None
    native: bytes = b""

    def total(self) -> int:
        return sum(n for name in COUNTS if (n := getattr(self, name)))

    def over(self, old: UsageParts) -> UsageParts:
        """These counts, with `old` ones where these are unknown: usage is cumulative and replaces."""
        pick = {name: getattr(self, name) if getattr(self, name) is not None else getattr(old, name) for name in COUNTS}
        return UsageParts(
            native=self.native or old.native, modalities=self.modalities or old.modalities, units=self.units or old.units,
            tier=self.tier or old.tier, estimated=self.estimated, **pick,
        )  # fmt: skip


COUNTS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")


class Cost(Struct, frozen=True, kw_only=True):
    """What an answer cost. `usd` None: a price is unknown, which is not 0; `missing` names the parts without one. `estimated`:
    the usage was, or a price stands in for a missing one. `source` names the price and its version."""

    usd: Decimal | None = None
    estimated: bool = False
    missing: tuple[str, ...] = ()
    source: str = ""

    def __str__(self) -> str:
        return "unknown" if self.usd is None else f"{self.usd:f}"


class Usage(Event, frozen=True, kw_only=True):
    """Cumulative: replaces what came before, never adds."""

    parts: UsageParts
    final: bool = False


class Stop(Event, frozen=True, kw_only=True):
    """`reason`: stop, stop_sequence, length, context_window, tool_use, content_filter, refusal, pause, compaction, malformed_call,
    steered, max_messages, other. Once per choice. `native` is the provider's own word."""

    reason: str
    native: str = ""
    sequence: str | None = None
    details: bytes = b""


class Annotation(Event, frozen=True, kw_only=True):
    """Facts about the answer that are no content: moderation, filter results, safety ratings. `scope`: message or choice."""

    name: str
    raw: bytes
    scope: str = "message"


class Ping(Event, frozen=True, kw_only=True):
    pass


class Opaque(Event, frozen=True, kw_only=True):
    """A wire event no codec knows. Empty `raw` says that nothing is lost with it: progress, a comment."""

    name: str
    raw: bytes


class Error(Event, frozen=True, kw_only=True):
    """An error of the provider or the gateway; in a stream it is the last event.

    `kind` is a key of `ERROR_STATUS`; `type`, `code` and `param` are the provider's own words and None where it gave none.
    """

    kind: str
    message: str
    status: int = 0
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    """The provider's own word (`x-should-retry`)."""
    request_id: str | None = None
    native: bytes = b""

    @property
    def http_status(self) -> int:
        return self.status or ERROR_STATUS.get(self.kind, 500)


class MessageEnd(Event, frozen=True, kw_only=True):
    """The provider's own end of the answer, or what `specs` call complete without one. Nothing else may make one."""


E = TypeVar("E", bound=Event)


def replace(event: E, **changes: Any) -> E:
    """A copy of `event` with other values. The copy has no frame, so it is serialised anew."""
    return structs.replace(event, frame=None, **changes)
