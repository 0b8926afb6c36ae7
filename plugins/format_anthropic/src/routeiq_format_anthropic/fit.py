"""Messages of any format, made of parts that this format has; a message that fits already comes back as the same object."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from msgspec import structs
from routeiq_sdk.request import Message, Tool
from routeiq_sdk.stream import Block, Cache, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult
from routeiq_sdk.wire import loads

from .blocks import media_fields
from .sse import NAME, write
from .tools import alias

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CACHE_LIMIT = 4


def call_id(given: str) -> str:
    """A call id that this format takes; the same for a call and its result."""
    if _CALL_ID.fullmatch(given):
        return given
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "replace")).digest(), "big")
    digits = ""
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits += _DIGITS[digit]
    return f"call_{digits}"


def fit(message: Message, losses: list[str]) -> Message:
    if message.name is not None:
        losses.append("message.name;drop")
    parts = tuple(fitted for part in message.parts if (fitted := _fit_part(part, message.role, losses)) is not None)
    unchanged = len(parts) == len(message.parts) and all(a is b for a, b in zip(parts, message.parts, strict=True))
    return message if unchanged else structs.replace(message, parts=parts)


def _fit_part(part: Block, role: str, losses: list[str]) -> Block | None:
    match part:
        case Text():
            return part if part.origin == NAME or not part.citations else structs.replace(part, citations=())
        case ToolCall():
            return _fit_call(part, losses)
        case ToolResult():
            return _fit_result(part, role, losses)
        case Reasoning():
            return _fit_reasoning(part, losses)
        case Refusal():
            losses.append("refusal;approx")
            return Text(text=part.text)
        case Media():
            return _fit_media(part, role, losses)
        case OpaqueBlock() if part.origin == NAME:
            return part
    losses.append("content;drop")
    return None


def _fit_reasoning(part: Reasoning, losses: list[str]) -> Reasoning | None:
    if part.seal is not None and part.seal.family == NAME:
        return part
    losses.append("reasoning.content;drop")
    return None


def _fit_media(part: Media, role: str, losses: list[str]) -> Media | None:
    if part.origin == NAME:
        return part
    if part.detail not in (None, "auto"):
        losses.append("media_resolution;drop")
    if role != "assistant" and media_fields(part) is not None:
        return part
    losses.append("media.file_id;drop" if part.file_id else f"{part.modality};drop")
    return None


def _fit_call(call: ToolCall, losses: list[str]) -> ToolCall | None:
    if call.owner != "client":
        if call.origin == NAME:
            return call
        losses.append("server_tools;drop")
        return None
    args, name, id_ = object_args(call, losses), alias(call.name), call_id(call.call_id)
    if (args, name, id_) == (call.args, call.name, call.call_id):
        return call
    return structs.replace(call, args=args, name=name, call_id=id_)


def object_args(call: ToolCall, losses: list[str]) -> str:
    if call.input is not None or not call.args.strip() or call.origin == NAME:
        return call.args
    try:
        if isinstance(loads(call.args.encode()), dict):
            return call.args
    except (ValueError, RecursionError):
        pass
    losses.append("tool_args;approx")
    return write({"_raw": call.args}).decode()


def _fit_result(result: ToolResult, role: str, losses: list[str]) -> ToolResult | None:
    if result.owner != "client":
        if result.origin == NAME:
            return result
        losses.append("server_tools;drop")
        return None
    parts = tuple(fitted for part in result.parts if (fitted := _fit_part(part, role, losses)) is not None)
    id_ = call_id(result.call_id)
    if id_ == result.call_id and len(parts) == len(result.parts) and all(a is b for a, b in zip(parts, result.parts, strict=True)):
        return result
    return structs.replace(result, parts=parts, call_id=id_)


def limit_cache(
    tools: Sequence[Tool], messages: Sequence[Message], crossed: bool, losses: list[str]
) -> tuple[Sequence[Tool], Sequence[Message]]:
    """At most four breakpoints: the last of the tools, the last of the instructions, the last two of the messages."""
    leading = leading_system(messages)
    in_tools = [tool.cache for tool in tools if tool.cache]
    in_system = [cache for message in messages[:leading] for cache in _caches(message.parts)]
    in_messages = [cache for message in messages[leading:] for cache in _caches(message.parts)]
    if crossed and (in_tools or in_system or in_messages):
        losses.append("cache;approx")
    if len(in_tools) + len(in_system) + len(in_messages) > CACHE_LIMIT:
        losses.append("cache;approx")
        kept = in_tools[-1:] + in_system[-1:] + in_messages[-2:]
    elif crossed:
        kept = in_tools + in_system + in_messages
    else:
        return tools, messages
    keep = {id(cache) for cache in kept}
    long = any(cache.ttl_s and cache.ttl_s > 300 for cache in kept)
    swap = Cache(3600 if long else None) if crossed else None
    return (
        [structs.replace(tool, cache=_kept(tool.cache, keep, swap)) if tool.cache else tool for tool in tools],
        [_prune(message, keep, swap) for message in messages],
    )


def leading_system(messages: Sequence[Message]) -> int:
    return next((i for i, message in enumerate(messages) if message.role not in ("system", "developer")), len(messages))


def _caches(parts: Sequence[Block]) -> list[Cache]:
    found: list[Cache] = []
    for part in parts:
        if isinstance(part, ToolResult):
            found += _caches(part.parts)
        if part.cache:
            found.append(part.cache)
    return found


def _kept(cache: Cache | None, keep: set[int], swap: Cache | None) -> Cache | None:
    return (swap or cache) if cache is not None and id(cache) in keep else None


def _prune(message: Message, keep: set[int], swap: Cache | None) -> Message:
    return structs.replace(message, parts=_prune_parts(message.parts, keep, swap)) if _caches(message.parts) else message


def _prune_parts(parts: Sequence[Block], keep: set[int], swap: Cache | None) -> tuple[Block, ...]:
    pruned = []
    for part in parts:
        if isinstance(part, ToolResult) and _caches(part.parts):
            part = structs.replace(part, parts=_prune_parts(part.parts, keep, swap))
        pruned.append(structs.replace(part, cache=_kept(part.cache, keep, swap)) if part.cache else part)
    return tuple(pruned)
