"""Content blocks: raw JSON ↔ the internal model, for requests and answers alike.

`write` gives a block that came from this format and was not edited its own bytes back: it parses `native` again and compares,
so an edit that forgot to clear `native` is still an edit.
"""

from __future__ import annotations

from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.crossing import SEAL_PREFIX, unwrap
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import Block, Cache, Citation, Media, OpaqueBlock, Reasoning, Refusal, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.wire import loads

from . import citations, media
from .sse import NAME
from .sse import write as dumps

T = TypeVar("T")
NULL = b"null"
KNOWN = frozenset({
    "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "search_result", "server_tool_use",
    "mcp_tool_use", "compaction",
})  # fmt: skip
STRING, LIST = b'"['
"""First bytes of a JSON string and a JSON array."""
_OPTIONAL = ("cache_control", "citations", "is_error")


class WireBlock(Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    tool_use_id: str | None = None
    content: Raw = Raw()
    is_error: bool | None = None
    source: Raw = Raw()
    title: str | None = None
    citations: Raw = Raw()
    cache_control: Raw = Raw()
    encrypted_content: str | None = None


class BlockKind(Struct):
    type: str


class Source(Struct):
    type: str = ""
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = Raw()


class CacheControl(Struct):
    type: str = "ephemeral"
    ttl: str | None = None


def decode(data: bytes | Raw, decoder: msgspec.json.Decoder[T], place: str) -> T:
    """Typed JSON, lone surrogates included. Raises `ClientError` that names the place of a wrong type."""
    try:
        return decoder.decode(data)
    except RecursionError:
        raise ClientError(f"{place or 'body'}: nested too deeply") from None
    except msgspec.ValidationError as error:
        raise type_error(error, place) from None
    except msgspec.DecodeError:
        return _decode_loosely(bytes(data), decoder, place)


def _decode_loosely(data: bytes, decoder: msgspec.json.Decoder[T], place: str) -> T:
    try:
        return msgspec.convert(_raws(loads(data), decoder.type), decoder.type)
    except msgspec.ValidationError as error:
        raise type_error(error, place) from None
    except (ValueError, RecursionError) as error:
        raise ClientError(f"{place or 'body'}: not valid JSON: {error}") from None


def _raws(value: Any, type_: Any) -> Any:
    """`value` with `Raw` where `type_` wants raw JSON, at its top level, in its list items or in its members."""
    if type_ is Raw:
        return Raw(dumps(value))
    if isinstance(type_, type) and issubclass(type_, Struct) and isinstance(value, dict):
        types = {field.encode_name: field.type for field in structs.fields(type_)}
        return {name: _raws(item, types.get(name)) for name, item in value.items()}
    args = get_args(type_)
    if get_origin(type_) is list and isinstance(value, list):
        return [_raws(item, args[0]) for item in value]
    if get_origin(type_) is dict and isinstance(value, dict):
        return {name: _raws(item, args[1]) for name, item in value.items()}
    if get_origin(type_) in (Union, UnionType):
        return next((changed for arg in args if (changed := _raws(value, arg)) is not value), value)
    return value


def type_error(error: msgspec.ValidationError, place: str = "") -> ClientError:
    text, _, path = str(error).partition(" - at `$")
    where = f"{place}{path.rstrip('`')}".lstrip(".") or "body"
    if text.startswith("Object missing required field "):
        where, text = f"{where}.{text.split('`')[1]}".removeprefix("body."), "field required"
    text = (text[:1].lower() + text[1:]).replace("`", "").replace("object", "object")
    return ClientError(f"{where}: {text}", param=where)


_block = msgspec.json.Decoder(WireBlock)
_kind = msgspec.json.Decoder(BlockKind)
_source = msgspec.json.Decoder(Source)
_raw_list = msgspec.json.Decoder(list[Raw])
_cache = msgspec.json.Decoder(CacheControl)
_members = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)


def is_set(raw: Raw) -> bool:
    return bool(raw) and (len(memoryview(raw)) != len(NULL) or bytes(raw) != NULL)


def kind_of(raw: Raw) -> str:
    """str, list or other, by the first byte of the value."""
    first = memoryview(raw)[0] if raw else 0
    return "str" if first == STRING else "list" if first == LIST else "other"


def parse_parts(raw: Raw, place: str) -> tuple[tuple[Block, ...], bool]:
    """The parts of a `content` value, and whether it was a bare string."""
    kind = kind_of(raw)
    if kind == "str":
        return (Text(text=decode(raw, _string, place)),), True
    if kind == "list":
        items = decode(raw, _raw_list, place)
        return tuple(parse(item, f"{place}[{i}]") for i, item in enumerate(items)), False
    raise ClientError(f"{place}: expected str or array", param=place)


def parse(raw: bytes | Raw, place: str = "content") -> Block:
    try:
        wire = decode(raw, _block, place)
    except ClientError:
        kind = decode(raw, _kind, place).type
        if kind in KNOWN:
            raise
        return OpaqueBlock(type=kind, native=bytes(raw), origin=NAME)
    native: dict[str, Any] = {"native": bytes(raw), "origin": NAME, "cache": parse_cache(wire.cache_control, place)}
    if wire.type == "text":
        return Text(text=wire.text or "", citations=_parse_citations(wire.citations, place), **native)
    if wire.type in ("image", "document") and is_set(wire.source):
        return _parse_media(wire, native, place)
    if wire.type == "tool_use":
        return ToolCall(call_id=wire.id or "", name=wire.name or "", args=_args(wire.input), **native)
    if wire.type == "tool_result":
        parts = parse_parts(wire.content, f"{place}.content")[0] if is_set(wire.content) else ()
        return ToolResult(call_id=wire.tool_use_id or "", parts=parts, is_error=bool(wire.is_error), **native)
    if wire.type == "thinking":
        return _parse_thinking(wire.thinking or "", wire.signature or "", "thinking", native)
    if wire.type == "redacted_thinking":
        return _parse_thinking("", wire.data or "", "redacted", native)
    if wire.type == "compaction":
        text = decode(wire.content, _string, f"{place}.content") if is_set(wire.content) else ""
        return Reasoning(
            form="compaction", text=text, seal=Seal(wire.encrypted_content, NAME) if wire.encrypted_content else None, **native
        )
    return _parse_rare(wire, native, place)


def _parse_rare(wire: WireBlock, native: dict[str, Any], place: str) -> Block:
    if wire.type in ("server_tool_use", "mcp_tool_use"):
        kind = "mcp" if wire.type == "mcp_tool_use" else server_kind(wire.name or "other")
        return ToolCall(call_id=wire.id or "", name=wire.name or "", args=_args(wire.input), owner="provider", kind=kind, **native)
    if wire.type.endswith("_tool_result") and wire.tool_use_id is not None:
        kind = server_kind(wire.type.removesuffix("_tool_result"))
        return ToolResult(call_id=wire.tool_use_id, owner="provider", kind=kind, is_error=bool(wire.is_error), **native)
    if wire.type == "search_result" and kind_of(wire.content) == "list":
        about = [line for line in (wire.title, _source_line(wire.source)) if line]
        return Text(text="\n".join([*about, *_texts(wire.content, place)]), **native)
    return OpaqueBlock(type=wire.type, **native)


def server_kind(name: str) -> str:
    """What a server tool's call or result is in every format."""
    return "code" if name.endswith("code_execution") else "tool_search" if name.startswith("tool_search") else name


def _args(raw: Raw) -> str:
    text = bytes(raw).decode("utf-8", "replace") if raw else ""
    return "" if text == "{}" else text


def _parse_thinking(text: str, state: str, form: str, native: dict[str, Any]) -> Block:
    if state.startswith(SEAL_PREFIX):
        return unwrap(state) or Reasoning(form=form, text=text, origin=NAME)
    return Reasoning(form=form, text=text, seal=Seal(state, NAME) if state else None, **native)


def _parse_media(wire: WireBlock, native: dict[str, Any], place: str) -> Block:
    source = decode(wire.source, _source, f"{place}.source")
    fields: dict[str, Any] = {"modality": wire.type, "mime": source.media_type or "", "title": wire.title, **native}
    if source.type == "base64":
        return Media(data=source.data or "", **fields)
    if source.type == "text":
        return Media(text=source.data or "", **fields)
    if source.type == "url":
        return Media(url=source.url or "", **fields)
    if source.type == "file":
        return Media(file_id=source.file_id or "", **fields)
    if source.type == "content" and source.content:
        parts, _ = parse_parts(source.content, f"{place}.content")
        if all(isinstance(part, Text) for part in parts):
            return Media(text="\n".join(part.text for part in parts if isinstance(part, Text)), **fields)
    return OpaqueBlock(type=wire.type, **native)


def _texts(content: Raw, place: str) -> list[str]:
    return [part.text for part in parse_parts(content, f"{place}.content")[0] if isinstance(part, Text)]


def _source_line(source: Raw) -> str:
    """What a search result says it comes from, which is a string and no source of bytes."""
    return decode(source, _string, "source") if kind_of(source) == "str" else ""


def _parse_citations(raw: Raw, place: str) -> tuple[Citation, ...]:
    items = decode(raw, _raw_list, f"{place}.citations") if kind_of(raw) == "list" else ()
    return tuple(map(citations.read, items))


def parse_cache(raw: Raw, place: str) -> Cache | None:
    if not is_set(raw):
        return None
    ttl = decode(raw, _cache, f"{place}.cache_control").ttl
    return Cache({"5m": 300, "1h": 3600}.get(ttl or ""), bytes(raw))


def members(raw: bytes, place: str = "body") -> dict[str, Any]:
    found: dict[str, Any] = decode(raw, _members, place)
    return found


def write(block: Block) -> Raw | dict[str, Any] | None:
    """The block's JSON, None where this format has no such block."""
    native = block.native if block.origin == NAME else b""
    if isinstance(block, OpaqueBlock):
        return _without_cache(native) if native and not block.cache else Raw(native) if native else None
    if native and parse(native) == block:
        return Raw(native)
    fields = _fields(block)
    if fields is None:
        return None
    own = members(native) if native else {}
    if own and loads(bytes(own["type"])) == fields["type"]:
        fields = {name: value for name, value in own.items() if name not in _OPTIONAL} | fields
    if block.cache:
        fields["cache_control"] = write_cache(block.cache)
    return fields


def _without_cache(native: bytes) -> Raw | dict[str, Any]:
    """An unknown block, less a breakpoint that was taken off it."""
    if b'"cache_control"' not in native:
        return Raw(native)
    return {name: value for name, value in members(native).items() if name != "cache_control"}


def write_cache(cache: Cache) -> Raw | dict[str, str]:
    if cache.native:
        return Raw(cache.native)
    return {"type": "ephemeral", "ttl": "1h"} if cache.ttl_s and cache.ttl_s > 300 else {"type": "ephemeral"}


def _fields(block: Block) -> dict[str, Any] | None:
    match block:
        case Text():
            fields: dict[str, Any] = {"type": "text", "text": block.text}
            if block.citations and block.origin == NAME:
                fields["citations"] = [citation.native for citation in block.citations if citation.origin == NAME]
            return fields
        case Refusal():
            return {"type": "text", "text": block.text}
        case ToolCall():
            return _call_fields(block)
        case ToolResult():
            return _result_fields(block)
        case Reasoning():
            return _reasoning_fields(block)
        case Media():
            return media.fields_of(block)
    return None


def _call_fields(call: ToolCall) -> dict[str, Any] | None:
    type_ = "tool_use"
    if call.owner != "client":
        if call.origin != NAME:
            return None
        type_ = "mcp_tool_use" if call.kind == "mcp" else "server_tool_use"
    value: Any = {"input": call.input} if call.input is not None else Raw(call.args.encode("utf-8", "replace") or b"{}")
    return {"type": type_, "id": call.call_id, "name": call.name, "input": value}


def _result_fields(result: ToolResult) -> dict[str, Any] | None:
    if result.owner != "client":
        return None
    fields: dict[str, Any] = {"type": "tool_result", "tool_use_id": result.call_id, "content": content(result.parts)}
    if result.is_error:
        fields["is_error"] = True
    return fields


def content(parts: tuple[Block, ...], was_str: bool = True) -> str | list[Any]:
    """A `content` value: a single plain text is a string where the source had one."""
    if was_str and len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].cache and not parts[0].citations:
        return parts[0].text
    return [value for value in map(write, parts) if value is not None]


def _reasoning_fields(block: Reasoning) -> dict[str, Any] | None:
    if block.form == "compaction":
        fields: dict[str, Any] = {"type": "compaction", "content": block.text or None}
        return fields | ({"encrypted_content": block.seal.value} if block.seal else {})
    if block.form == "redacted":
        return {"type": "redacted_thinking", "data": block.seal.value if block.seal else ""}
    return {"type": "thinking", "thinking": block.text, "signature": block.seal.value if block.seal else ""}
