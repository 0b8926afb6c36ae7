"""Messages, their parts and tools: raw JSON → the internal model. Each keeps its own JSON in `native`."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.crossing import SEAL_PREFIX, unwrap
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import UNREADABLE, is_set, raw_members
from routeiq_sdk.request import Message, Tool
from routeiq_sdk.stream import Block, Cache, Media, OpaqueBlock, Reasoning, Refusal, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.surrogates import dump

from .chunks import NAME
from .citations import read_citation

CALL_SEAL = "call"
"""Form of a wrapped seal that belongs to the call its `item_id` names."""
_BLOCKS = (b'"thinking"', b'"redacted_thinking"')


AUDIO_ID = "audio"
"""Type of the opaque block that stands for an assistant's earlier spoken answer, which only its provider holds."""


class WireFormat(Struct):
    grammar: Raw = Raw()


class WireFunction(Struct):
    name: str = ""
    arguments: str | None = None
    input: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None
    format: WireFormat | None = None


class WireCall(Struct):
    id: str = ""
    function: WireFunction | None = None
    custom: WireFunction | None = None


class WireMessage(Struct):
    role: str
    content: str | list[Raw] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[Raw] | None = None
    tool_call_id: str | None = None
    function_call: WireFunction | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    thinking_blocks: Any = None
    annotations: Any = None
    audio: Raw = Raw()
    cache_control: WireBreakpoint | None = None
    """As LiteLLM's clients mark a whole message: its last part ends what is cached."""


class WireMedia(Struct):
    url: str | None = None
    detail: str | None = None
    data: str | None = None
    format: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class WireBreakpoint(Struct):
    ttl: str | None = None


class WirePart(Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""
    image_url: WireMedia | str | None = None
    video_url: WireMedia | str | None = None
    input_audio: WireMedia | None = None
    file: WireMedia | None = None
    prompt_cache_breakpoint: Raw = Raw()
    cache_control: WireBreakpoint | None = None
    """As clients of LiteLLM and OpenRouter mark what Anthropic is to cache."""


class WireTool(Struct):
    type: str = "function"
    function: WireFunction | None = None
    custom: WireFunction | None = None
    cache_control: WireBreakpoint | None = None


_items = msgspec.json.Decoder(list[Raw])
_message = msgspec.json.Decoder(WireMessage)
_call = msgspec.json.Decoder(WireCall)
_part = msgspec.json.Decoder(WirePart)
_tool = msgspec.json.Decoder(WireTool)
_breakpoint = msgspec.json.Decoder(WireBreakpoint)
_function = msgspec.json.Decoder(WireFunction)
_TTLS = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43200}
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}


def items(raw: bytes | None) -> list[bytes]:
    return [bytes(item) for item in _items.decode(raw)] if raw is not None and is_set(raw) else []


def decode(decoder: Any, raw: bytes, place: str) -> Any:
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        text, _, path = str(error).partition(" - at `$")
        where = place + path.rstrip("`")
        raise ClientError(f"{where}: {text.replace('`', '')}", param=where, code="invalid_type") from None


def parse_message(raw: bytes, place: str, calls: dict[str, str]) -> Message:
    """`calls` remembers the ids made for the old `function_call`, by function name, for their results."""
    wire = decode(_message, raw, place)
    cache = _control(wire.cache_control)
    if wire.role in ("tool", "function"):
        parts: tuple[Block, ...] = (structs.replace(_result(wire, raw, place, calls), cache=cache),)
        return Message(role="tool", parts=parts, name=wire.name, was_str=isinstance(wire.content, str), native=raw)
    is_answer = wire.role == "assistant"
    blocks, seals = _thoughts(wire) if is_answer else ([], {})
    blocks += _cited(_content(wire.content, place), wire.annotations) if is_answer else _content(wire.content, place)
    if is_answer and is_set(bytes(wire.audio)):
        blocks.append(OpaqueBlock(type=AUDIO_ID, native=bytes(wire.audio), origin=NAME))
    if wire.refusal:
        blocks.append(Refusal(text=wire.refusal, origin=NAME))
    for number, item in enumerate(wire.tool_calls or ()):
        call = _tool_call(bytes(item), f"{place}.tool_calls[{number}]")
        blocks.append(structs.replace(call, seal=seals[call.call_id]) if call.call_id in seals else call)
    if wire.function_call is not None:
        name = wire.function_call.name
        calls[name] = "call_rq" + hashlib.sha256(f"{place}/{name}".encode("utf-8", "replace")).hexdigest()[:20]
        blocks.append(ToolCall(call_id=calls[name], name=name, args=wire.function_call.arguments or "", origin=NAME))
    if cache is not None and blocks and blocks[-1].cache is None:
        blocks[-1] = structs.replace(blocks[-1], cache=cache)
    return Message(role=wire.role, parts=tuple(blocks), name=wire.name, was_str=isinstance(wire.content, str), native=raw)


def _result(wire: WireMessage, raw: bytes, place: str, calls: dict[str, str]) -> ToolResult:
    given = wire.tool_call_id or (calls.get(wire.name or "") if wire.role == "function" else None)
    if given is None:
        raise ClientError(f"{place}.tool_call_id: field required", param=f"{place}.tool_call_id", code="missing_required_parameter")
    return ToolResult(call_id=given, parts=tuple(_content(wire.content, place)), name=wire.name or "", origin=NAME)


def _content(content: str | list[Raw] | None, place: str) -> list[Block]:
    if isinstance(content, str):
        return [Text(text=content, origin=NAME)]
    return [parse_part(bytes(item), f"{place}.content[{number}]") for number, item in enumerate(content or ())]


def parse_part(raw: bytes, place: str = "part") -> Block:
    wire = decode(_part, raw, place)
    marker = bytes(wire.prompt_cache_breakpoint)
    cache = _control(wire.cache_control)
    if is_set(marker):
        cache = Cache(_TTLS.get(decode(_breakpoint, marker, place).ttl or "30m"), native=marker)
    native: dict[str, Any] = {"native": raw, "origin": NAME, "cache": cache}
    if wire.type == "text":
        return Text(text=wire.text, **native)
    if wire.type == "refusal":
        return Refusal(text=wire.refusal, **native)
    link = wire.image_url if wire.type == "image_url" else wire.video_url if wire.type == "video_url" else None
    if link is not None:
        media = WireMedia(url=link) if isinstance(link, str) else link
        return Media(modality=wire.type[:5], detail=media.detail, **address(media.url or ""), **native)
    if wire.type == "input_audio" and wire.input_audio is not None:
        mime = _AUDIO.get(wire.input_audio.format or "", f"audio/{wire.input_audio.format}")
        return Media(modality="audio", mime=mime, data=wire.input_audio.data or "", **native)
    if wire.type == "file" and wire.file is not None:
        file = wire.file
        place_of = {"file_id": file.file_id} if file.file_id else address(file.file_data or "")
        return Media(modality="document", filename=file.filename, **place_of, **native)
    return OpaqueBlock(type=wire.type, **native)


def _control(marker: WireBreakpoint | None) -> Cache | None:
    return None if marker is None else Cache(_TTLS.get(marker.ttl or "5m"))


def address(url: str) -> dict[str, Any]:
    """A `data:` URL taken apart, or the URL."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:")):
        return {"url": url}
    return {"mime": head[5:].partition(";")[0], "data": data}


def _tool_call(raw: bytes, place: str) -> ToolCall:
    wire = decode(_call, raw, place)
    if wire.custom is not None:
        custom = wire.custom
        return ToolCall(call_id=wire.id, name=custom.name, input=custom.input or "", kind="custom", native=raw, origin=NAME)
    function = wire.function or WireFunction()
    return ToolCall(call_id=wire.id, name=function.name, args=function.arguments or "", native=raw, origin=NAME)


def _thoughts(wire: WireMessage) -> tuple[list[Block], dict[str, Seal]]:
    """Reasoning that the client gives back: wrapped state of other providers, this format's own items, else the plain text; and
    the seals of calls, by the call's id."""
    blocks: list[Block] = []
    seals: dict[str, Seal] = {}
    for item in [*_list(wire.reasoning_details), *_list(wire.thinking_blocks)]:
        if not isinstance(item, dict):
            continue
        state = item.get("data") or item.get("signature")
        if isinstance(state, str) and state.startswith(SEAL_PREFIX):
            block = unwrap(state)
            if block is not None and block.form == CALL_SEAL and block.seal is not None:
                seals[block.item_id or ""] = block.seal
            elif block is not None:
                blocks.append(block)
            continue
        text = item.get("text") or item.get("thinking") or item.get("summary")
        seal = Seal(state, NAME) if isinstance(state, str) else None
        blocks.append(Reasoning(text=text if isinstance(text, str) else "", seal=seal, native=dump(item), origin=NAME))
    text = wire.reasoning_content or wire.reasoning
    if not blocks and isinstance(text, str):
        blocks.append(Reasoning(text=text, native=dump({"reasoning_content": text}), origin=NAME))
    return blocks, seals


def own_item(block: Reasoning) -> str:
    """The member that holds a thought of this format with state of its own, "" for any other."""
    kind = raw_members(block.native).get("type") if block.origin in ("", NAME) else None
    name = bytes(kind) if kind is not None else b""
    return "reasoning_details" if name.startswith(b'"reasoning.') else "thinking_blocks" if name in _BLOCKS else ""


def _cited(blocks: list[Block], annotations: Any) -> list[Block]:
    """Annotations of an earlier answer belong to its text."""
    found = tuple(cited for item in _list(annotations) if (cited := read_citation(item)) is not None)
    if not found or len(blocks) != 1 or not isinstance(blocks[0], Text):
        return blocks
    return [structs.replace(blocks[0], citations=found)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def parse_tool(raw: bytes, legacy: bool = False, place: str = "tool") -> Tool:
    wire = WireTool(function=decode(_function, raw, place)) if legacy else decode(_tool, raw, place)
    inner = wire.custom or wire.function
    if inner is None:
        return Tool(name=wire.type, kind="server", type=wire.type, canonical=_CANONICAL.get(wire.type, ""), native=raw, origin=NAME)
    parameters = bytes(inner.parameters) if is_set(bytes(inner.parameters)) else b""
    return Tool(
        name=inner.name,
        kind="custom" if wire.custom else "function",
        description=inner.description,
        parameters=parameters,
        strict=inner.strict,
        grammar=bytes(inner.format.grammar) if inner.format is not None else b"",
        type=LEGACY if legacy else "",
        cache=_control(wire.cache_control),
        native=raw,
        origin=NAME,
    )


_CANONICAL = {"web_search": "web_search", "web_search_preview": "web_search", "browser_search": "web_search", "code_interpreter": "code"}
"""Server tools of compatible providers."""
LEGACY = "functions"
"""`Tool.type` of entries of the old `functions` list."""
