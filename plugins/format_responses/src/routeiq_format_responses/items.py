"""Input items: raw JSON → messages. A run of items that one turn of the assistant made is one message, whose `native` is the JSON
array of them; every other item is a message of its own with an array of one."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk import crossing
from routeiq_sdk.errors import ClientError
from routeiq_sdk.loose import loosely
from routeiq_sdk.openai_family import UNREADABLE, is_set
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Block, Cache, Citation, Media, OpaqueBlock, Reasoning, Refusal, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import loads, mend

from .frames import FAMILY, NAME, PARAGRAPH, raw_items

ROLES = ("system", "developer", "user", "assistant", "tool", "critic", "discriminator")


class WireAudio(Struct):
    data: str = ""
    format: str = ""


class WireBreakpoint(Struct):
    ttl: str | None = None


class WireText(Struct):
    text: str = ""


class WirePart(Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: WireAudio | None = None
    annotations: list[Raw] | None = None
    logprobs: Raw = Raw()
    prompt_cache_breakpoint: WireBreakpoint | None = None


class WireItem(Struct):
    """`content` and `output` are strings or arrays of parts."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = Raw()
    input: str | None = None
    content: Raw = Raw()
    output: Raw = Raw()
    summary: list[WireText] | None = None
    encrypted_content: str | None = None
    phase: str | None = None


_part = msgspec.json.Decoder(WirePart)
_item = msgspec.json.Decoder(WireItem)
_str = msgspec.json.Decoder(str)
_texts = msgspec.json.Decoder(list[WireText])
_TTLS = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43200}
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}
PROVIDER_ITEMS = {
    "web_search_call": "web_search", "file_search_call": "file_search", "code_interpreter_call": "code", "image_generation_call": "image",
    "mcp_call": "mcp", "mcp_approval_request": "mcp_approval", "tool_search_call": "tool_search", "program": "program",
}  # fmt: skip
"""Items of tools that the provider ran → kind of the call."""
ADDITIONAL_TOOLS = "additional_tools"
"""The item by which a client offers tools in the conversation; they are tools of the request, and its message is empty."""
TURN_ITEMS = frozenset({
    "reasoning", "function_call", "custom_tool_call", "compaction", "computer_call", "local_shell_call", "shell_call",
    "apply_patch_call", "mcp_list_tools", *PROVIDER_ITEMS,
})  # fmt: skip
"""Items that an assistant's turn consists of, beside its messages."""


def decode_as(decoder: Any, raw: bytes, place: str) -> Any:
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        text, _, path = str(error).partition(" - at `$")
        where = place + path.rstrip("`")
        raise ClientError(f"{where}: {text.replace('`', '')}", param=where, code="invalid_type") from None


def parse_items(raw: list[bytes]) -> tuple[Message, ...]:
    """Raises `ClientError` that names the place."""
    messages: list[Message] = []
    run: list[tuple[bytes, list[Block]]] = []
    phase: str | None = None
    names: dict[str, str] = {}
    for number, each in enumerate(raw):
        place = f"input[{number}]"
        item: WireItem = decode_as(_item, each, place)
        parts = parse_item(item, each, place)
        if is_turn(item):
            run.append((each, parts))
            phase = item.phase or phase
            names |= {part.call_id: part.name for part in parts if isinstance(part, ToolCall)}
            continue
        messages += _turn(run, phase)
        run, phase = [], None
        if any(isinstance(part, ToolResult) for part in parts):
            parts = [msgspec.structs.replace(part, name=part.name or names.get(part.call_id, "")) for part in parts]
        role = "tool" if any(isinstance(part, ToolResult) for part in parts) else _role(item, place)
        was_str = bytes(item.content or item.output)[:1] == b'"'
        messages.append(Message(role=role, parts=tuple(parts), was_str=was_str, native=b"[" + each + b"]"))
    return (*messages, *_turn(run, phase))


def is_turn(item: WireItem) -> bool:
    return item.role == "assistant" if _is_message(item) else item.type in TURN_ITEMS


def _turn(run: list[tuple[bytes, list[Block]]], phase: str | None) -> list[Message]:
    if not run:
        return []
    native = b"[" + b",".join(each for each, _ in run) + b"]"
    return [Message(role="assistant", parts=tuple(part for _, parts in run for part in parts), phase=phase, native=native)]


def _is_message(item: WireItem) -> bool:
    return item.type == "message" or (item.type is None and item.role is not None)


def _role(item: WireItem, place: str) -> str:
    if not _is_message(item):
        return "developer" if item.type == ADDITIONAL_TOOLS else "user"
    if item.role not in ROLES:
        raise ClientError(f"{place}.role: expected one of {', '.join(ROLES)}, got {item.role!r}", param=f"{place}.role")
    return item.role


def parse_item(item: WireItem, raw: bytes, place: str = "item") -> list[Block]:
    native: dict[str, Any] = {"native": raw, "origin": NAME}
    if _is_message(item):
        return parse_content(bytes(item.content), f"{place}.content", item.phase)
    if item.type == "function_call":
        return [_call(item, raw, place)]
    if item.type == "custom_tool_call":
        return [
            ToolCall(
                call_id=item.call_id or item.id or "", name=item.name or "", input=item.input or "", kind="custom",
                namespace=item.namespace or "", item_id=item.id, **native,
            )
        ]  # fmt: skip
    if item.type in ("function_call_output", "custom_tool_call_output"):
        if not item.call_id:
            raise ClientError(f"{place}.call_id: field required", param=f"{place}.call_id", code="missing_required_parameter")
        kind = "function" if item.type == "function_call_output" else "custom"
        parts = tuple(parse_content(bytes(item.output), f"{place}.output"))
        return [ToolResult(call_id=item.call_id, parts=parts, name=item.name or "", kind=kind, item_id=item.id, **native)]
    if item.type in ("reasoning", "compaction"):
        block = parse_reasoning(item, raw)
        return [] if block is None else [block]
    if item.type == ADDITIONAL_TOOLS:
        return []
    if item.type in PROVIDER_ITEMS:
        kind = PROVIDER_ITEMS[item.type]
        call_id = item.id or item.call_id or ""
        return [ToolCall(call_id=call_id, name=item.name or kind, owner="provider", kind=kind, item_id=item.id, **native)]
    return [OpaqueBlock(type=item.type or "item_reference", **native)]


def _call(item: WireItem, raw: bytes, place: str) -> ToolCall:
    args = bytes(item.arguments)
    text = decode_as(_str, args, f"{place}.arguments") if args[:1] == b'"' else args.decode()
    return ToolCall(
        call_id=item.call_id or item.id or "", name=item.name or "", args=text if text != "null" else "",
        namespace=item.namespace or "", item_id=item.id, native=raw, origin=NAME,
    )  # fmt: skip


def parse_reasoning(item: WireItem, raw: bytes) -> Reasoning | None:
    """The item, or what another provider sealed in it; None where that does not decode."""
    state = item.encrypted_content
    if state is not None and state.startswith(crossing.SEAL_PREFIX):
        return crossing.unwrap(state)
    seal = Seal(state, FAMILY) if state is not None else None
    if item.type == "compaction":
        return Reasoning(form="compaction", seal=seal, item_id=item.id, native=raw, origin=NAME)
    return Reasoning(
        form="raw" if raw_texts(item) and not item.summary else "summary", text=PARAGRAPH.join(thoughts(item)), seal=seal, item_id=item.id,
        native=raw, origin=NAME,
    )  # fmt: skip


def thoughts(item: WireItem) -> list[str]:
    """The parts of the summary, else of the plain text."""
    return [part.text for part in item.summary or ()] or raw_texts(item)


def raw_texts(item: WireItem) -> list[str]:
    try:
        return [part.text for part in _texts.decode(item.content)] if is_set(bytes(item.content)) else []
    except UNREADABLE:
        return []


def read_item(raw: bytes) -> WireItem:
    """An item of an answer; an empty one for what cannot be read."""
    try:
        return _item.decode(raw)
    except UNREADABLE:
        return _item.decode(_right(raw, _item))


def _right(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> bytes:
    """The JSON object without the members that have another type than they should."""
    try:
        value = loads(raw)
    except (ValueError, RecursionError):
        return b"{}"
    return b"{}" if loosely(value, lambda given: decoder.decode(mend(dump(given)))) is None else mend(dump(value))


def read_part(raw: bytes, phase: str | None = None) -> Block:
    try:
        return parse_part(raw, "part", phase)
    except ClientError:
        right = _right(raw, _part)
    return parse_part(right, "part", phase) if right != b"{}" else OpaqueBlock(type="", native=raw, origin=NAME)


def parse_content(raw: bytes, place: str, phase: str | None = None) -> list[Block]:
    if raw[:1] == b'"':
        return [Text(text=decode_as(_str, raw, place), phase=phase, origin=NAME)]
    return [parse_part(each, f"{place}[{number}]", phase) for number, each in enumerate(raw_items(raw))]


def parse_part(raw: bytes, place: str = "part", phase: str | None = None) -> Block:
    wire: WirePart = decode_as(_part, raw, place)
    marker = wire.prompt_cache_breakpoint
    cache = Cache(_TTLS.get(marker.ttl or "30m"), native=dump(marker)) if marker is not None else None
    native: dict[str, Any] = {"native": raw, "origin": NAME, "cache": cache}
    if wire.type in ("input_text", "output_text", "text"):
        cited = tuple(read_citation(bytes(each)) for each in wire.annotations or ())
        logprobs = bytes(wire.logprobs) if is_set(bytes(wire.logprobs)) and bytes(wire.logprobs) != b"[]" else b""
        return Text(text=wire.text, citations=cited, logprobs=logprobs, phase=phase, **native)
    if wire.type == "refusal":
        return Refusal(text=wire.refusal, **native)
    if wire.type == "input_image":
        place_of = {"file_id": wire.file_id} if wire.file_id else _address(wire.image_url or "")
        return Media(modality="image", detail=wire.detail, **place_of, **native)
    if wire.type == "input_audio" and wire.input_audio is not None:
        mime = _AUDIO.get(wire.input_audio.format, f"audio/{wire.input_audio.format}")
        return Media(modality="audio", mime=mime, data=wire.input_audio.data, **native)
    if wire.type == "input_file":
        place_of = {"file_id": wire.file_id} if wire.file_id else _address(wire.file_url or wire.file_data or "")
        return Media(modality="document", filename=wire.filename, detail=wire.detail, **place_of, **native)
    return OpaqueBlock(type=wire.type, **native)


def _address(url: str) -> dict[str, Any]:
    """A `data:` URL taken apart, or the URL."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:")):
        return {"url": url}
    return {"mime": head[5:].partition(";")[0], "data": data}


class WireCitation(Struct):
    type: str = ""
    url: str | None = None
    title: str | None = None
    filename: str | None = None
    file_id: str | None = None
    start_index: int | None = None
    end_index: int | None = None


_citation = msgspec.json.Decoder(WireCitation)
_KINDS = {"url_citation": "url", "file_citation": "file", "container_file_citation": "file", "file_path": "file"}


def read_citation(raw: bytes) -> Citation:
    try:
        wire = _citation.decode(raw)
    except UNREADABLE:
        wire = WireCitation()
    return Citation(
        kind=_KINDS.get(wire.type, wire.type or "other"), url=wire.url, title=wire.title or wire.filename, file_id=wire.file_id,
        start=wire.start_index, end=wire.end_index, native=Raw(raw), origin=NAME,
    )  # fmt: skip
