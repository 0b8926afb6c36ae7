"""Messages of any format → input items. Items that nobody edited keep their own JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct
from routeiq_sdk import crossing
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import raw_members
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Block, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult

from .frames import FAMILY, NAME, plain_member, raw_items
from .items import WireItem, parse_item, parse_part, read_item
from .tools import NAMES

Wire = dict[str, Any]
_CALL_ID = re.compile(r"[!-~]+")
_ITEM_ID = re.compile(r"rs_[A-Za-z0-9_-]{1,61}")
_MIMES = {"image": "image/png", "document": "application/pdf"}
_BREAKPOINTS = 4


class Writer(Struct):
    """`crossed`: the request is of another format. `losses` are report names. `breakpoints`: how many may still be set."""

    crossed: bool
    losses: list[str]
    breakpoints: int = _BREAKPOINTS

    def lose(self, name: str) -> None:
        self.losses.append(name)

    def call_id(self, given: str) -> str:
        return crossing.short_id(given, "call_", 64, _CALL_ID) if self.crossed else given


def is_instructions(message: Message) -> bool:
    """Of this format: the member `instructions`, which is no item."""
    return message.role == "system" and message.native.startswith(b'"')


def write_input(messages: Sequence[Message], old: Sequence[Message], to: Writer) -> list[Any]:
    known = {message.native: message for message in old if message.native}
    out: list[Any] = []
    for message in messages:
        if message.native.startswith(b"[") and not to.crossed:
            before = known.get(message.native)
            if before is not None:
                out += [Raw(each) for each in raw_items(message.native)] if before == message else _edited(message, before, to)
                continue
        out += _message(message, to)
    return _paired(out, messages, to) if to.crossed else out


def _edited(message: Message, before: Message, to: Writer) -> list[Any]:
    """Part by part where none was added or taken away, so that items keep their ids; else anew, and then no item keeps one."""
    if len(message.parts) != len(before.parts):
        return _message(message, to)
    out: list[Any] = []
    at = 0
    for raw in raw_items(message.native):
        item = read_item(raw)
        count = len(parse_item(item, raw))
        new, old = message.parts[at : at + count], before.parts[at : at + count]
        at += count
        out += [Raw(raw)] if new == old else _refilled(item, raw, new, to)
    return out


def _refilled(item: WireItem, raw: bytes, parts: Sequence[Block], to: Writer) -> list[Any]:
    own: Wire = dict(raw_members(raw))
    first = parts[0]
    if item.role is not None and not isinstance(first, ToolCall | ToolResult):
        content = _content(parts, item.role, to)
        return [own | {"content": _plain(parts) if bytes(item.content)[:1] == b'"' and len(parts) == 1 else content}]
    if isinstance(first, ToolCall) and first.owner == "client":
        return [own | _call(first, to)]
    if isinstance(first, ToolResult):
        return [own | _result(first, to)]
    return _items(parts, "assistant", to)


def _message(message: Message, to: Writer) -> list[Any]:
    if message.name is not None:
        to.lose("message.name;drop")
    role = message.role if message.role != "tool" else "user"
    items = _items(message.parts, role, to, message.phase)
    if len(items) == 1 and isinstance(items[0], dict) and "role" in items[0]:
        only = message.parts[0]
        if len(message.parts) == 1 and isinstance(only, Text) and only.cache is None and (message.was_str or to.crossed):
            items[0]["content"] = only.text
    return items


def _items(parts: Sequence[Block], role: str, to: Writer, phase: str | None = None) -> list[Any]:
    out: list[Any] = []
    held: list[Block] = []

    def settle() -> None:
        content = _content(held, role, to) if held else []
        if content:
            said = next((part.phase for part in held if isinstance(part, Text) and part.phase), phase)
            out.append({"type": "message", "role": role, **({"phase": said} if said else {}), "content": content})
        held.clear()

    for part in parts:
        if isinstance(part, Text | Refusal | Media):
            held.append(part)
            continue
        if isinstance(part, OpaqueBlock) and part.origin == NAME and _is_part(part):
            held.append(part)
            continue
        settle()
        made = _item(part, to)
        out += [made] if made is not None else []
    settle()
    return out


def _is_part(part: OpaqueBlock) -> bool:
    return part.type.startswith(("input_", "output_", "computer_screenshot"))


def _item(part: Block, to: Writer) -> Any:
    if isinstance(part, ToolResult):
        if part.owner != "client":
            to.lose("server_tools;drop")
            return None
        return _result(part, to)
    if isinstance(part, ToolCall):
        if part.owner != "client":
            if part.origin == NAME and part.native:
                return Raw(part.native)
            to.lose("server_tools;drop")
            return None
        return _call(part, to)
    if isinstance(part, Reasoning):
        return _reasoning(part, to)
    if isinstance(part, OpaqueBlock) and part.origin == NAME and part.native:
        return Raw(part.native)
    to.lose(f"{part.type if isinstance(part, OpaqueBlock) else 'content'};drop")
    return None


def _call(call: ToolCall, to: Writer) -> Wire:
    name, args = (NAMES.alias(call.name), call.args or "{}") if to.crossed else (call.name, call.args)
    head: Wire = {"type": "function_call", "call_id": to.call_id(call.call_id), "name": name}
    if call.namespace:
        head["namespace"] = call.namespace
    if call.input is not None:
        return {**head, "type": "custom_tool_call", "input": call.input}
    return {**head, "arguments": args}


def _result(result: ToolResult, to: Writer) -> Wire:
    prefix = ""
    if result.is_error:
        to.lose("tool_result.is_error;approx")
        prefix = "Error: "
    texts = [part for part in result.parts if isinstance(part, Text)]
    whole: Any = prefix + _plain(texts)
    if len(result.parts) > 1 or len(texts) != len(result.parts):
        whole = _content(result.parts, "user", to)
        if prefix:
            whole = [{"type": "input_text", "text": prefix.strip()}, *whole]
    kind = "custom_tool_call_output" if result.kind == "custom" else "function_call_output"
    return {"type": kind, "call_id": to.call_id(result.call_id), "output": whole}


def _reasoning(part: Reasoning, to: Writer) -> Any:
    """Only thoughts of this family go back."""
    own = part.origin in (NAME, FAMILY) and plain_member(part.native, "type") in ("reasoning", "compaction")
    if own and (part.origin == FAMILY or _same_thought(part)):
        return Raw(part.native)
    if part.seal is None or part.seal.family not in (FAMILY, NAME) or not part.seal.value:
        to.lose("reasoning.content;drop")
        return None
    if part.form == "compaction":
        return {"type": "compaction", "encrypted_content": part.seal.value}
    given = part.item_id or ""
    minted = "rs_" + hashlib.sha256(part.seal.value.encode("utf-8", "replace")).hexdigest()[:40]
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {
        "type": "reasoning", "id": given if _ITEM_ID.fullmatch(given) else minted, "summary": summary,
        "encrypted_content": part.seal.value,
    }  # fmt: skip


def _same_thought(part: Reasoning) -> bool:
    parts = parse_item(read_item(part.native), part.native)
    return len(parts) == 1 and isinstance(parts[0], Reasoning) and (parts[0].text, parts[0].seal) == (part.text, part.seal)


def _plain(parts: Sequence[Block]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _content(parts: Sequence[Block], role: str, to: Writer) -> list[Any]:
    return [made for part in parts if (made := _part(part, role, to)) is not None]


def _part(part: Block, role: str, to: Writer) -> Any:
    """None where this format has no such part."""
    native = part.native if part.origin == NAME else b""
    phase = part.phase if isinstance(part, Text) else None
    if native and (isinstance(part, OpaqueBlock) or parse_part(native, "part", phase) == part):
        return Raw(native)
    own: Wire = dict(raw_members(native))
    own |= _breakpoint(part, to)
    if isinstance(part, Text):
        kind = "output_text" if role == "assistant" else "input_text"
        fresh: Wire = {"type": kind, "text": part.text}
        own.pop("logprobs", None)
        return {**own, **fresh, **({"annotations": []} if kind == "output_text" else {})}
    if isinstance(part, Refusal):
        return {**own, "type": "refusal", "refusal": part.text}
    made = _media(part, to) if isinstance(part, Media) and role != "assistant" else None
    if made is None:
        to.lose(f"{part.modality if isinstance(part, Media) else part.type if isinstance(part, OpaqueBlock) else 'content'};drop")
        return None
    return {**own, **made}


def _breakpoint(part: Block, to: Writer) -> Wire:
    if part.cache is None or part.origin == NAME:
        return {}
    if plain_member(b'{"x":%b}' % (part.cache.native or b"null"), "x") and part.origin == FAMILY:
        return {"prompt_cache_breakpoint": Raw(part.cache.native)}
    if to.breakpoints <= 0:
        to.lose("cache;drop")
        return {}
    to.breakpoints -= 1
    to.lose("cache;approx")
    return {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}


def _media(media: Media, to: Writer) -> Wire | None:
    if media.text is not None:
        to.lose("document;approx")
        title = media.title or media.filename
        return {"type": "input_text", "text": f"{title}\n\n{media.text}" if title else media.text}
    kind = {"image": "input_image", "document": "input_file"}.get(media.modality)
    if media.modality == "audio" and media.data is not None:
        form = {"audio/mpeg": "mp3"}.get(media.mime, media.mime.partition("/")[2].removeprefix("x-"))
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form or "wav"}}
    if kind is None or (media.file_id is not None and media.origin not in (NAME, FAMILY)):
        return None
    detail = {"detail": media.detail} if media.detail else {}
    if media.file_id is not None:
        return {"type": kind, "file_id": media.file_id, **detail}
    link = media.url if media.url is not None else f"data:{media.mime or _MIMES[media.modality]};base64,{media.data or ''}"
    if kind == "input_image":
        return {"type": kind, "image_url": link, "detail": media.detail or "auto"}
    if media.url is not None and not media.url.startswith("data:"):
        return {"type": kind, "file_url": link, **detail}
    return {"type": kind, "filename": media.filename or media.title or "document.pdf", "file_data": link, **detail}


def _paired(items: list[Any], messages: Sequence[Message], to: Writer) -> list[Any]:
    """Every output has its call before it, every call an output behind it. Items here are our own, so none is raw but reasoning."""
    outputs = {item["call_id"] for item in items if isinstance(item, dict) and str(item.get("type")).endswith("_output")}
    calls: set[str] = set()
    out: list[Any] = []
    missing: list[Wire] = []
    for item in items:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in ("function_call", "custom_tool_call"):
            out += missing
            missing = []
        if kind in ("function_call_output", "custom_tool_call_output") and item["call_id"] not in calls:
            raise ClientError(f"messages: the result of call {item['call_id']!r} comes without its call", param="messages")
        out.append(item)
        if kind in ("function_call", "custom_tool_call"):
            calls.add(item["call_id"])
            if item["call_id"] not in outputs:
                missing.append({"type": f"{kind}_output", "call_id": item["call_id"], "output": ""})
                to.lose("tool_result.missing;approx")
    if messages and messages[-1].role == "assistant" and not missing:
        to.lose("prefill;approx")
    return [*out, *missing]


MINTED = re.compile(rb'"(?:(?:msg|rs|fc|ctc|ig)_rq|rq1\.)')
"""Marks what another provider's answer left in the conversation: ids that the gateway made, and wrapped reasoning."""


def without_foreign(raw: bytes) -> list[Any] | None:
    """Input items as their provider may get them; None where nothing is to change."""
    if not MINTED.search(raw):
        return None
    out: list[Any] = []
    for each in raw_items(raw):
        if not MINTED.search(each):
            out.append(Raw(each))
            continue
        item = read_item(each)
        if (item.encrypted_content or "").startswith(crossing.SEAL_PREFIX):
            block = crossing.unwrap(item.encrypted_content or "")
            own = block is not None and block.seal is not None and block.seal.family == FAMILY and block.native
            out += [Raw(block.native)] if block is not None and own else []
            continue
        fields: Wire = dict(raw_members(each))
        if MINTED.match(b'"%b' % (item.id or "").encode("utf-8", "replace")):
            if item.type == "reasoning":
                continue
            fields.pop("id", None)
        out.append(fields)
    return out
