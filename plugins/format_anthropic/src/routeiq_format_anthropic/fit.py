"""Messages of any format, made of parts that this format has; a message that fits already comes back as the same object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs
from routeiq_sdk.request import Message, Tool
from routeiq_sdk.stream import Block, Cache, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult
from routeiq_sdk.wire import loads

from . import citations, media
from .names import alias, call_id
from .sse import NAME, write

CACHE_LIMIT = 4


def fit(message: Message, losses: list[str]) -> Message:
    if message.name is not None:
        losses.append("message.name;drop")
    if message.phase is not None:
        losses.append("phase;drop")
    parts = tuple(fitted for part in message.parts if (fitted := _fit_part(part, message.role, losses)) is not None)
    unchanged = len(parts) == len(message.parts) and all(a is b for a, b in zip(parts, message.parts, strict=True))
    return message if unchanged else structs.replace(message, parts=parts)


def _fit_part(part: Block, role: str, losses: list[str]) -> Block | None:
    match part:
        case Text():
            return _fit_text(part, losses)
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


def _fit_text(part: Text, losses: list[str]) -> Text:
    """Less the citations that the API would refuse."""
    if part.phase is not None:
        losses.append("phase;drop")
    kept = tuple(citation for citation in part.citations if not citations.is_foreign(citation))
    if len(kept) == len(part.citations):
        return part
    losses.append("citations;drop")
    return structs.replace(part, citations=kept)


def _fit_reasoning(part: Reasoning, losses: list[str]) -> Reasoning | None:
    if part.seal is not None and part.seal.family == NAME:
        return part
    if part.form == "compaction" and part.origin == NAME:
        return part
    losses.append("reasoning.content;drop")
    return None


def _fit_media(part: Media, role: str, losses: list[str]) -> Media | None:
    if part.origin == NAME:
        return part
    if part.detail not in (None, "auto"):
        losses.append("media_resolution;drop")
    if role != "assistant" and media.fields_of(part) is not None:
        return part
    losses.append("media.file_id;drop" if part.file_id else f"{part.modality};drop")
    return None


def _fit_call(call: ToolCall, losses: list[str]) -> ToolCall | None:
    if call.owner != "client":
        if call.origin == NAME:
            return call
        losses.append("server_tools;drop")
        return None
    args, name, id_ = object_args(call, losses), alias(call.name, call.namespace), call_id(call.call_id)
    if call.seal is not None:
        losses.append("reasoning.content;drop")
    elif (args, name, id_) == (call.args, call.name, call.call_id):
        return call
    return structs.replace(call, args=args, name=name, call_id=id_, seal=None)


def object_args(call: ToolCall, losses: list[str]) -> str:
    if call.input is not None or is_object(call.args, call.origin == NAME):
        return call.args
    losses.append("tool_args;approx")
    return write({"_raw": call.args}).decode()


def is_object(args: str, is_own: bool = False) -> bool:
    """Whether arguments are what this format takes, or (`is_own`) any JSON that it gave; none at all are."""
    try:
        return isinstance(loads(args.encode("utf-8", "replace")), object if is_own else dict)
    except ValueError:
        return not args.strip()


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
    tools: Sequence[Tool], messages: Sequence[Message], crossed: bool, most: int, losses: list[str]
) -> tuple[Sequence[Tool], Sequence[Message]]:
    """At most `most` breakpoints: the last of the tools, the last of the instructions, the last of the messages. A lifetime of
    another format becomes the nearest of this one, the same for all: a long one must not follow a short one."""
    leading = leading_system(messages)
    in_tools = [tool.cache for tool in tools if tool.cache]
    in_system = [cache for message in messages[:leading] for cache in _caches(message.parts)]
    in_messages = [cache for message in messages[leading:] for cache in _caches(message.parts)]
    counts = (len(in_tools), len(in_system), len(in_messages))
    if not any(counts) or (not crossed and sum(counts) <= most):
        return tools, messages
    losses.append("cache;approx")
    spare = counts if sum(counts) <= most else (min(counts[0], 1), min(counts[1], 1), min(counts[2], most - 2))
    places = [at >= count - kept for count, kept in zip(counts, spare, strict=True) for at in range(count)]
    kept = [cache for cache, is_kept in zip((*in_tools, *in_system, *in_messages), places, strict=True) if is_kept]
    long = any(cache.ttl_s and cache.ttl_s > 300 for cache in kept)
    swap = Cache(3600 if long else None) if crossed else None
    keep = iter(places)
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


def _kept(cache: Cache | None, keep: Iterator[bool], swap: Cache | None) -> Cache | None:
    return (swap or cache) if next(keep) else None


def _prune(message: Message, keep: Iterator[bool], swap: Cache | None) -> Message:
    return structs.replace(message, parts=_prune_parts(message.parts, keep, swap)) if _caches(message.parts) else message


def _prune_parts(parts: Sequence[Block], keep: Iterator[bool], swap: Cache | None) -> tuple[Block, ...]:
    pruned = []
    for part in parts:
        if isinstance(part, ToolResult) and _caches(part.parts):
            part = structs.replace(part, parts=_prune_parts(part.parts, keep, swap))
        pruned.append(structs.replace(part, cache=_kept(part.cache, keep, swap)) if part.cache else part)
    return tuple(pruned)
