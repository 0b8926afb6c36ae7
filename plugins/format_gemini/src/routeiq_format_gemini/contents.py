"""Messages → `systemInstruction` and `contents`.

A conversation of another format gets the order that the API insists on: consecutive contents of one role are one; the responses to a
turn's calls follow it, in its order, before anything else; nothing is empty. One of this format stays as it came, but for what was
edited and for reasoning of other families.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Block, Reasoning, Text, ToolCall, ToolResult

from . import signatures
from .fit import Fit
from .parse import parse_one, parse_system
from .wire import Fields

BLANK = {"text": " "}


class Turn(Struct):
    role: str
    parts: list[Any]
    calls: list[ToolCall]
    responses: int = 0
    """How many of the parts, the first ones, answer calls."""


def is_system(message: Message) -> bool:
    return message.role in ("system", "developer")


def leading_system(messages: Sequence[Message]) -> int:
    return next((at for at, message in enumerate(messages) if not is_system(message)), len(messages))


def write_system(messages: Sequence[Message], fit: Fit, crossed: bool) -> Any:
    if not messages:
        return None
    native = messages[0].native if len(messages) == 1 and not crossed else b""
    if native and parse_system(native) == tuple(messages):
        return Raw(native)
    written = fit.write([part for message in messages for part in message.parts])
    return {"parts": written} if written else None


def write_own(messages: Sequence[Message], fit: Fit) -> list[Any]:
    """The contents of a conversation that came in this format."""
    out: list[Any] = []
    at = 0
    while at < len(messages):
        message = messages[at]
        count = 2 if _is_pair(messages, at) else 1
        blocks = tuple(block for each in messages[at : at + count] for block in each.parts)
        if message.native and signatures.FOREIGN_MARK not in message.native and _same(messages[at : at + count]):
            out.append(Raw(message.native))
        else:
            written = _write_parts(_without_foreign(blocks), fit)
            role = "model" if message.role == "assistant" else "user"
            if is_system(message):
                fit.lose("system.position;approx")
            if written:
                out.append({"role": role, "parts": written})
        at += count
    return out


def _is_pair(messages: Sequence[Message], at: int) -> bool:
    following = messages[at + 1] if at + 1 < len(messages) else None
    return bool(following and messages[at].role == "tool" and messages[at].native and following.native == messages[at].native)


def _same(messages: Sequence[Message]) -> bool:
    """Whether `native` still says all that these messages do; ids that only the gateway gave may differ."""
    parsed = parse_one(messages[0].native, 0)
    if len(parsed) != len(messages) or [each.role for each in parsed] != [each.role for each in messages]:
        return False
    pairs = zip((part for each in parsed for part in each.parts), (part for each in messages for part in each.parts), strict=False)
    counts = [len(each.parts) for each in parsed] == [len(each.parts) for each in messages]
    return counts and all(_with_id(old, new) == new for old, new in pairs)


def _with_id(old: Block, new: Block) -> Block:
    if isinstance(old, ToolCall | ToolResult) and isinstance(new, ToolCall | ToolResult):
        return structs.replace(old, call_id=new.call_id)
    return old


def _without_foreign(blocks: Sequence[Block]) -> list[Block]:
    """Without another family's reasoning, and the visible text of it."""
    if not any(isinstance(block, Reasoning) and block.seal and not signatures.own(block.seal) for block in blocks):
        return list(blocks)
    return [block for block in blocks if not isinstance(block, Reasoning) or signatures.own(block.seal)]


def _write_parts(blocks: Sequence[Block], fit: Fit) -> list[Any]:
    written: list[Any] = []
    for block in blocks:
        if isinstance(block, ToolResult) and block.owner == "client":
            response, beside = fit.result(block, ToolCall(call_id=block.call_id, name=block.name))
            written += [response, *beside]
        else:
            written += fit.write([block])
    return written


def write_crossed(messages: Sequence[Message], fit: Fit, needs_signatures: bool) -> list[Any]:
    results, known = _results(messages)
    turns: list[Turn] = []
    for at, message in enumerate(messages):
        if message.role == "tool":
            continue
        if message.name is not None:
            fit.lose("message.name;drop")
        if message.phase is not None:
            fit.lose("phase;drop")
        if message.role == "assistant":
            _add(turns, Turn("model", fit.write(message.parts), _calls(message)))
            following = messages[at + 1].role if at + 1 < len(messages) else ""
            if following != "assistant":
                _answer(turns, results, fit)
            continue
        parts = _instructions(message, fit) if is_system(message) else fit.write(message.parts)
        _add(turns, Turn("user", parts, []))
    _check_left(results, known, fit)
    if turns and turns[-1].role == "model" and messages[-1].role == "assistant":
        fit.lose("prefill;approx")
    return _finished(turns, fit, needs_signatures)


def _instructions(message: Message, fit: Fit) -> list[Any]:
    fit.lose("system.position;approx")
    text = "\n\n".join(part.text for part in message.parts if isinstance(part, Text))
    return [{"text": f"<system>{text}</system>"}]


def _calls(message: Message) -> list[ToolCall]:
    return [part for part in message.parts if isinstance(part, ToolCall) and part.owner == "client"]


def _results(messages: Sequence[Message]) -> tuple[dict[str, deque[ToolResult]], set[str]]:
    """The results by the id of their call, in order; and the ids of all calls."""
    found: dict[str, deque[ToolResult]] = {}
    known: set[str] = set()
    for message in messages:
        known.update(call.call_id for call in _calls(message))
        for part in message.parts if message.role == "tool" else ():
            if isinstance(part, ToolResult):
                found.setdefault(part.call_id, deque()).append(part)
    return found, known


def _check_left(results: dict[str, deque[ToolResult]], known: set[str], fit: Fit) -> None:
    for call_id, left in results.items():
        if left and call_id not in known:
            raise ClientError(f"messages: the tool result {call_id!r} answers no call of this conversation.", param="messages")
        if left:
            fit.lose("tool_result;drop")


def _add(turns: list[Turn], turn: Turn) -> None:
    if turns and turns[-1].role == turn.role:
        last = turns[-1]
        last.parts.extend(turn.parts)
        last.calls.extend(turn.calls)
    else:
        turns.append(turn)


def _answer(turns: list[Turn], results: dict[str, deque[ToolResult]], fit: Fit) -> None:
    """The responses to the calls of the last turn."""
    calls = turns[-1].calls if turns else []
    if not calls:
        return
    responses: list[Any] = []
    beside: list[Any] = []
    for call in calls:
        waiting = results.get(call.call_id)
        if waiting:
            result = waiting.popleft()
        else:
            fit.lose("tool_result;approx")
            result = ToolResult(call_id=call.call_id, parts=(Text(text="no result"),), is_error=True)
        response, more = fit.result(result, call)
        responses.append(response)
        beside += more
    turns.append(Turn("user", [*responses, *beside], [], responses=len(responses)))


def _finished(turns: list[Turn], fit: Fit, needs_signatures: bool) -> list[Any]:
    if not turns or turns[0].role == "model":
        fit.lose("messages;approx")
        turns.insert(0, Turn("user", [BLANK], []))
    if needs_signatures:
        _stand_in(turns, fit)
    return [{"role": turn.role, "parts": turn.parts or [BLANK]} for turn in turns]


def _stand_in(turns: list[Turn], fit: Fit) -> None:
    """The first call of each step since the user last spoke needs a signature; one that another model made gets the documented one."""
    for turn in reversed(turns):
        if turn.role == "user" and len(turn.parts) > turn.responses:
            return
        at = next((at for at, part in enumerate(turn.parts) if _is_call(part)), None) if turn.role == "model" else None
        if at is None:
            continue
        part = turn.parts[at]
        if b'"thoughtSignature"' not in bytes(part) if isinstance(part, Raw) else "thoughtSignature" not in part:
            fit.lose("reasoning;approx")
            turn.parts[at] = {**_opened(part), "thoughtSignature": signatures.STAND_IN}


def _is_call(part: Any) -> bool:
    return "functionCall" in _opened(part)


def _opened(part: Any) -> dict[str, Any]:
    return dict(Fields(bytes(part)).names) if isinstance(part, Raw) else part
