"""Order and shape that the Messages API insists on, as pure functions of the conversation.

Results follow their calls in one user message, results first; blocks are never blank; the first message is the user's. A
conversation that is right already comes back as the same objects.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import structs
from routeiq_sdk.request import Message
from routeiq_sdk.stream import Block, Text, ToolCall, ToolResult

STAND_IN = Text(text=".")


def repair(messages: Sequence[Message], crossed: bool, losses: list[str]) -> list[Message]:
    """`crossed`: the conversation comes from another format, so what only this one asks for is added."""
    kept = [fixed for message in messages if (fixed := _without_blanks(message)) is not None]
    paired = _pair(kept, losses)
    if crossed:
        paired = _wrap_system(paired, losses)
        if paired and paired[0].role == "assistant":
            losses.append("messages;approx")
            paired.insert(0, Message(role="user", parts=(STAND_IN,), was_str=True))
        _trim_prefill(paired)
    if not paired:
        paired = [Message(role="user", parts=(STAND_IN,), was_str=True)]
    return paired


def _without_blanks(message: Message) -> Message | None:
    parts = tuple(part for part in message.parts if not (isinstance(part, Text) and not part.text.strip()))
    if len(parts) == len(message.parts) and parts:
        return message
    return structs.replace(message, parts=parts) if parts else None


class _Places:
    """Where each call and each result is, so that no turn has to search the rest of the conversation."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.calls: dict[str, list[int]] = {}
        self.results: dict[str, list[tuple[int, int, Block]]] = {}
        for at, message in enumerate(messages):
            for call in calls_of(message):
                self.calls.setdefault(call.call_id, []).append(at)
            for place, part in enumerate(message.parts if message.role == "tool" else ()):
                if isinstance(part, ToolResult):
                    self.results.setdefault(part.call_id, []).append((at, place, part))

    def found(self, calls: Sequence[str], at: int) -> dict[str, Block]:
        """The first result of each call behind `at`, in their order, before one of the ids is called again."""
        end = min((again for call in calls if (again := self._called_again(call, at)) is not None), default=None)
        firsts = [(call, first) for call in calls if (first := self._first(call, at, end)) is not None]
        return {call: part for call, (_, _, part) in sorted(firsts, key=lambda each: each[1][:2])}

    def _called_again(self, call: str, at: int) -> int | None:
        places = self.calls[call]
        next_one = bisect_right(places, at)
        return places[next_one] if next_one < len(places) else None

    def _first(self, call: str, at: int, end: int | None) -> tuple[int, int, Block] | None:
        places = self.results.get(call, [])
        next_one = bisect_right(places, at, key=lambda place: place[0])
        first = places[next_one] if next_one < len(places) else None
        return first if first is not None and (end is None or first[0] < end) else None


def _pair(messages: Sequence[Message], losses: list[str]) -> list[Message]:
    used: set[int] = set()
    paired: list[Message] = []
    places = _Places(messages)
    for at, message in enumerate(messages):
        if message.role == "tool":
            paired += _orphans(message, used, losses)
            continue
        paired.append(message)
        following = messages[at + 1].role if at + 1 < len(messages) else ""
        if message.role == "assistant" and following != "assistant":
            paired += _results(messages, at, places, used, losses)
    return paired


def _results(messages: Sequence[Message], at: int, places: _Places, used: set[int], losses: list[str]) -> list[Message]:
    """One tool message with the results of the assistant turn that ends at `at`."""
    first = at
    while first and messages[first - 1].role == "assistant":
        first -= 1
    calls = list(dict.fromkeys(call.call_id for message in messages[first : at + 1] for call in calls_of(message)))
    if not calls:
        return []
    found = places.found(calls, at)
    used.update(map(id, found.values()))
    missing = [ToolResult(call_id=call, parts=(Text(text="no result"),), is_error=True) for call in calls if call not in found]
    if missing:
        losses.append("tool_result;approx")
    results = (*found.values(), *missing)
    following = messages[at + 1] if at + 1 < len(messages) else None
    return [following if following and following.parts == results else Message(role="tool", parts=results)]


def _orphans(message: Message, used: set[int], losses: list[str]) -> list[Message]:
    """Results that answer no call, as text of a user message."""
    lost = [part for part in message.parts if isinstance(part, ToolResult) and id(part) not in used]
    if not lost:
        return []
    losses.append("tool_result;approx")
    parts = tuple(inner for part in lost for inner in part.parts if not (isinstance(inner, Text) and not inner.text.strip()))
    return [Message(role="user", parts=parts or (STAND_IN,))]


def calls_of(message: Message) -> list[ToolCall]:
    return [part for part in message.parts if isinstance(part, ToolCall) and part.owner == "client"]


def _wrap_system(messages: Sequence[Message], losses: list[str]) -> list[Message]:
    """Later instructions as user text: only the newest models take them inside a conversation."""
    wrapped = []
    for message in messages:
        if message.role in ("system", "developer"):
            losses.append("system.position;approx")
            text = "\n\n".join(part.text for part in message.parts if isinstance(part, Text))
            cache = next((part.cache for part in reversed(message.parts) if part.cache), None)
            message = Message(role="user", parts=(Text(text=f"<system>{text}</system>", cache=cache),), was_str=True)
        wrapped.append(message)
    return wrapped


def _trim_prefill(messages: list[Message]) -> None:
    last = messages[-1] if messages else None
    if not last or last.role != "assistant" or not isinstance(last.parts[-1], Text):
        return
    text = last.parts[-1]
    if text.text != text.text.rstrip():
        messages[-1] = structs.replace(last, parts=(*last.parts[:-1], structs.replace(text, text=text.text.rstrip())))
