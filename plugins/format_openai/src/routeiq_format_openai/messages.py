"""Messages of any format → messages of a Chat Completions body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.openai_family import raw_members
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Block, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult
from routeiq_sdk.surrogates import dump

from .chunks import NAME
from .content import Wire, is_marked, mark, write_part
from .parts import AUDIO_ID, own_item
from .target import NAMES, Target, call_id

_OURS = frozenset({
    "role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call", "reasoning_content", "reasoning",
    "reasoning_details", "thinking_blocks",
})  # fmt: skip
PLACEHOLDER = "The result is in the next message."


def write_messages(messages: Sequence[Message], old: Sequence[Message], to: Target) -> list[Raw | Wire]:
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
        for wire in _message(message, to):
            out.append(wire)
            waiting = dict.fromkeys(call["id"] for call in wire.get("tool_calls", ()) if isinstance(call, dict)) if to.crossed else {}
    out += _answered(waiting, behind, to)
    if to.crossed and messages and messages[-1].role == "assistant" and not waiting:
        to.lose("prefill;approx")
    return out


def _answered(waiting: Iterable[str], behind: list[Wire], to: Target) -> list[Wire]:
    """Every call needs its result, and what a result could not hold follows the last of them."""
    made: list[Wire] = [{"role": "tool", "tool_call_id": given, "content": ""} for given in waiting]
    if made:
        to.lose("tool_result.missing;approx")
    made += behind
    behind.clear()
    return made


def _message(message: Message, to: Target) -> list[Wire]:
    parts = [part for part in message.parts if not isinstance(part, ToolResult)]
    if not parts and message.parts:
        return []
    if to.crossed:
        _report(message, parts, to)
    own = {} if to.crossed else {name: raw for name, raw in raw_members(message.native).items() if name not in _OURS}
    role = "system" if message.role == "developer" and to.crossed and not to.native else message.role
    wire: Wire = {"role": role, **own}
    if message.name is not None:
        wire["name"] = message.name
    if role == "assistant":
        made = _assistant(wire, parts, to)
        return [made] if made is not None else []
    if to.crossed and role in ("system", "developer"):
        return _system(wire, parts, to)
    content = [made for part in parts if (made := write_part(part, to)) is not None]
    wire["content"] = _plain(parts) if _is_plain(parts, message, to) else content
    return [wire] if content or not message.parts else []


def _report(message: Message, parts: Sequence[Block], to: Target) -> None:
    """What of a message of another format has no place here."""
    if message.role == "developer" and not to.native:
        to.lose("developer;approx")
    texts = [part for part in parts if isinstance(part, Text)]
    if message.phase or any(part.phase for part in texts):
        to.lose("phase;drop")
    if any(part.citations for part in texts):
        to.lose("citations;drop")
    if any(part.cache and isinstance(part, ToolCall | Reasoning | Refusal) for part in parts):
        to.lose("cache;drop")


def _system(wire: Wire, parts: Sequence[Block], to: Target) -> list[Wire]:
    """One message, or one for each part where one of them ends a cached prefix."""
    texts = [part for part in parts if isinstance(part, Text)]
    if any(is_marked(part, to) for part in texts):
        return [{**wire, "content": [{"type": "text", "text": part.text, **mark(part, to)}]} for part in texts]
    for part in texts:
        mark(part, to)
    return [{**wire, "content": "\n\n".join(part.text for part in texts)}]


def _is_plain(parts: Sequence[Block], message: Message, to: Target) -> bool:
    return len(parts) == 1 and isinstance(parts[0], Text) and (message.was_str or to.crossed) and not is_marked(parts[0], to)


def _plain(parts: Sequence[Block]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _assistant(wire: Wire, parts: Sequence[Block], to: Target) -> Wire | None:
    calls = [made for part in parts if isinstance(part, ToolCall) and (made := _call(part, to)) is not None]
    texts = [part for part in parts if isinstance(part, Text)]
    others = [
        part for part in parts if isinstance(part, Media | OpaqueBlock) and not (isinstance(part, OpaqueBlock) and part.type == AUDIO_ID)
    ]
    for part in parts:
        if isinstance(part, Reasoning):
            _thought(wire, part, to)
    if to.crossed:
        for part in others:
            to.lose(f"{part.modality if isinstance(part, Media) else part.type};drop")
        marked = any(is_marked(part, to) for part in texts)
        wire["content"] = [write_part(part, to) for part in texts] if marked else _unmarked(texts, to) if texts else None
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


def _unmarked(texts: Sequence[Text], to: Target) -> str:
    for part in texts:
        mark(part, to)
    return _plain(texts)


def _thought(wire: Wire, part: Reasoning, to: Target) -> None:
    """Only thoughts of this family go back, in the member that they came in."""
    name = own_item(part)
    if name:
        wire.setdefault(name, []).append(Raw(part.native))
    elif part.seal is not None and part.seal.family == NAME and part.origin in ("", NAME) and "type" not in raw_members(part.native):
        state = {"type": "reasoning.text", "text": part.text, "signature": part.seal.value}
        if part.form in ("encrypted", "redacted"):
            state = {"type": "reasoning.encrypted", "data": part.seal.value}
        wire.setdefault("reasoning_details", []).append(state)
    elif part.origin == NAME and "reasoning_content" in raw_members(part.native):
        wire["reasoning_content"] = part.text
    else:
        to.lose("reasoning.content;drop")


def _call(call: ToolCall, to: Target) -> Raw | Wire | None:
    if call.owner != "client":
        to.lose("server_tools;drop")
        return None
    own = raw_members(call.native) if call.origin == NAME else {}
    kind, field, value = ("function", "arguments", call.args or "{}") if call.input is None else ("custom", "input", call.input)
    if to.crossed and call.input is not None and not to.native:
        kind, field, value = "function", "arguments", dump({"input": call.input}).decode()
    if to.crossed and call.seal is not None and call.seal.family != NAME:
        to.lose("reasoning.content;drop")
    given = call.call_id if call.origin == NAME and not to.crossed else call_id(call.call_id)
    name = call.name if not to.crossed else NAMES.alias(call.name, call.namespace)
    if own and call.args == "" and call.input is None:
        value = ""
    return {**own, "id": given, "type": kind, kind: {"name": name, field: value}}


def _result(result: ToolResult, message: Message, behind: list[Wire], to: Target) -> list[Wire]:
    if result.owner != "client":
        to.lose("server_tools;drop")
        return []
    own: Wire = {}
    if not to.crossed:
        own = {name: raw for name, raw in raw_members(message.native).items() if name not in _OURS - {"name"}}
    texts = [part for part in result.parts if isinstance(part, Text)]
    if result.cache is not None and texts:
        texts[-1] = structs.replace(texts[-1], cache=result.cache)
    elif result.cache is not None:
        to.lose("cache;drop")
    rest = [made for part in result.parts if not isinstance(part, Text) and (made := write_part(part, to)) is not None]
    if rest:
        to.lose("tool_result.media;approx")
        behind.append({"role": "user", "content": rest})
    prefix = ""
    if result.is_error:
        to.lose("tool_result.is_error;approx")
        prefix = "Error: "
    plain = len(texts) <= 1 and not any(is_marked(part, to) for part in texts)
    content: Any = [{"type": "text", "text": prefix * (not n) + part.text, **mark(part, to)} for n, part in enumerate(texts)]
    content = prefix + _plain(texts) if plain else content
    given = result.call_id if not to.crossed else call_id(result.call_id)
    return [{**own, "role": "tool", "tool_call_id": given, "content": content or (PLACEHOLDER if rest else "")}]
