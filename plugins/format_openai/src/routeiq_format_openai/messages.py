"""Messages of any format → messages of a Chat Completions body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Raw, Struct
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Block, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult
from routeiq_sdk.wire import loads

from .chunks import NAME, raw_members
from .names import alias, call_id
from .parts import parse_part

Wire = dict[str, Any]
_OURS = frozenset({
    "role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call", "reasoning_content", "reasoning",
    "reasoning_details", "thinking_blocks",
})  # fmt: skip
PLACEHOLDER = "The result is in the next message."


class Writer(Struct):
    """`crossed`: the request is of another format. `native`: the provider is OpenAI itself."""

    crossed: bool
    native: bool
    losses: list[str]

    def lose(self, name: str) -> None:
        self.losses.append(name)


def write_messages(messages: Sequence[Message], old: Sequence[Message], to: Writer) -> list[Raw | Wire]:
    """Messages that are as in `old` keep their own JSON."""
    known = {message.native: message for message in old}
    out: list[Raw | Wire] = []
    waiting: dict[str, None] = {}
    behind: list[Wire] = []
    for message in messages:
        if message.native and not to.crossed and known.get(message.native) == message:
            out.append(Raw(message.native))
            continue
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        for result in results:
            out += _result(result, message, behind, to)
            waiting.pop(call_id(result.call_id), None)
        if message.role == "tool":
            continue
        out += _answered(waiting, behind, to)
        waiting = {}
        wire = _message(message, to)
        if wire is not None:
            out.append(wire)
            waiting = dict.fromkeys(call["id"] for call in wire.get("tool_calls", ()) if isinstance(call, dict)) if to.crossed else {}
    out += _answered(waiting, behind, to)
    if to.crossed and messages and messages[-1].role == "assistant" and not waiting:
        to.lose("prefill;approx")
    return out


def _answered(waiting: Iterable[str], behind: list[Wire], to: Writer) -> list[Wire]:
    """Every call needs its result, and what a result could not hold follows the last of them."""
    made: list[Wire] = [{"role": "tool", "tool_call_id": given, "content": ""} for given in waiting]
    if made:
        to.lose("tool_result.missing;approx")
    made += behind
    behind.clear()
    return made


def _message(message: Message, to: Writer) -> Wire | None:
    parts = [part for part in message.parts if not isinstance(part, ToolResult)]
    if not parts and message.parts:
        return None
    own = {} if to.crossed else {name: raw for name, raw in raw_members(message.native).items() if name not in _OURS}
    role = "system" if message.role == "developer" and to.crossed and not to.native else message.role
    wire: Wire = {"role": role, **own}
    if message.name is not None:
        wire["name"] = message.name
    if role == "assistant":
        return _assistant(wire, parts, to)
    if to.crossed and role in ("system", "developer"):
        if any(part.cache for part in parts):
            to.lose("cache;drop")
        wire["content"] = "\n\n".join(part.text for part in parts if isinstance(part, Text))
        return wire
    content = [made for part in parts if (made := write_part(part, to)) is not None]
    wire["content"] = _plain(parts) if _is_plain(parts, message, to) else content
    return wire if content or not message.parts else None


def _is_plain(parts: Sequence[Block], message: Message, to: Writer) -> bool:
    return len(parts) == 1 and isinstance(parts[0], Text) and (message.was_str or to.crossed) and (to.crossed or not parts[0].cache)


def _plain(parts: Sequence[Block]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _assistant(wire: Wire, parts: Sequence[Block], to: Writer) -> Wire | None:
    calls = [made for part in parts if isinstance(part, ToolCall) and (made := _call(part, to)) is not None]
    texts = [part for part in parts if isinstance(part, Text)]
    others = [part for part in parts if isinstance(part, Media | OpaqueBlock)]
    for part in parts:
        if isinstance(part, Reasoning):
            _thought(wire, part, to)
    if to.crossed:
        for part in others:
            write_part(part, Writer(True, to.native, to.losses))
        wire["content"] = _plain(texts) if texts else None
    else:
        plain = len(texts) == 1 and not others and not texts[0].native
        wire["content"] = _plain(texts) if plain else [write_part(part, to) for part in (*texts, *others)] or None
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    if refusals:
        wire["refusal"] = "".join(refusals)
    if calls:
        wire["tool_calls"] = calls
    if wire["content"] is None and not calls and not refusals:
        if to.crossed and parts:
            return None
        wire["content"] = ""
    return wire


def _thought(wire: Wire, part: Reasoning, to: Writer) -> None:
    """Only thoughts of this family go back, in the member that they came in."""
    fields = raw_members(part.native) if part.origin == NAME else {}
    kind = str(loads(bytes(fields["type"]))) if "type" in fields else ""
    if kind:
        name = "reasoning_details" if kind.startswith("reasoning.") else "thinking_blocks"
        wire.setdefault(name, []).append(Raw(part.native))
    elif part.seal is not None and part.seal.family == NAME:
        state = {"type": "reasoning.text", "text": part.text, "signature": part.seal.value}
        if part.form in ("encrypted", "redacted"):
            state = {"type": "reasoning.encrypted", "data": part.seal.value}
        wire.setdefault("reasoning_details", []).append(state)
    elif "reasoning_content" in fields:
        wire["reasoning_content"] = part.text
    else:
        to.lose("reasoning.content;drop")


def _call(call: ToolCall, to: Writer) -> Raw | Wire | None:
    if call.owner != "client":
        to.lose("server_tools;drop")
        return None
    own = raw_members(call.native) if call.origin == NAME else {}
    kind, field, value = ("function", "arguments", call.args or "{}") if call.input is None else ("custom", "input", call.input)
    given = call.call_id if call.origin == NAME and not to.crossed else call_id(call.call_id)
    name = call.name if not to.crossed else alias(call.name)
    if own and call.args == "" and call.input is None:
        value = ""
    return {**own, "id": given, "type": kind, kind: {"name": name, field: value}}


def _result(result: ToolResult, message: Message, behind: list[Wire], to: Writer) -> list[Wire]:
    if result.owner != "client":
        to.lose("server_tools;drop")
        return []
    own: Wire = {}
    if not to.crossed:
        own = {name: raw for name, raw in raw_members(message.native).items() if name not in _OURS - {"name"}}
    texts = [part for part in result.parts if isinstance(part, Text)]
    rest = [made for part in result.parts if not isinstance(part, Text) and (made := write_part(part, to)) is not None]
    if rest:
        to.lose("tool_result.media;approx")
        behind.append({"role": "user", "content": rest})
    prefix = ""
    if result.is_error:
        to.lose("tool_result.is_error;approx")
        prefix = "Error: "
    content: Any = [{"type": "text", "text": prefix * (not n) + part.text} for n, part in enumerate(texts)]
    content = content if len(texts) > 1 else prefix + _plain(texts)
    given = result.call_id if not to.crossed else call_id(result.call_id)
    return [{**own, "role": "tool", "tool_call_id": given, "content": content or (PLACEHOLDER if rest else "")}]


def write_part(part: Block, to: Writer) -> Raw | Wire | None:
    """None where Chat Completions has no such part."""
    native = part.native if part.origin == NAME else b""
    if native and (isinstance(part, OpaqueBlock) or parse_part(native) == part):
        return Raw(native)
    own = dict(raw_members(native))
    if part.cache is not None and part.origin != NAME:
        to.lose("cache;drop")
    if isinstance(part, Text):
        return {**own, "type": "text", "text": part.text}
    if isinstance(part, Refusal):
        return {**own, "type": "refusal", "refusal": part.text}
    made = _media(part, to) if isinstance(part, Media) else None
    if made is None:
        to.lose(f"{part.modality if isinstance(part, Media) else part.type if isinstance(part, OpaqueBlock) else 'content'};drop")
        return None
    return {**own, **made}


def _media(media: Media, to: Writer) -> Wire | None:
    if media.text is not None:
        to.lose("document;approx")
        title = media.title or media.filename
        return {"type": "text", "text": f"{title}\n\n{media.text}" if title else media.text}
    if media.file_id is not None:
        return {"type": "file", "file": {"file_id": media.file_id}} if media.origin == NAME else None
    link = media.url if media.url is not None else f"data:{media.mime or _MIMES.get(media.modality, '')};base64,{media.data or ''}"
    if media.modality == "image" or (media.modality == "video" and not to.native):
        kind = f"{media.modality}_url"
        return {"type": kind, kind: {"url": link, "detail": media.detail} if media.detail else {"url": link}}
    if media.modality == "audio" and media.data is not None:
        form = {"audio/mpeg": "mp3"}.get(media.mime, media.mime.partition("/")[2].removeprefix("x-"))
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form or "wav"}}
    if media.modality != "document":
        return None
    if media.url is not None and not media.url.startswith("data:"):
        raise ClientError("document: this model's provider takes no documents by URL; send the bytes", param="messages")
    return {"type": "file", "file": {"filename": media.filename or media.title or "document.pdf", "file_data": link}}


_MIMES = {"image": "image/png", "document": "application/pdf"}
