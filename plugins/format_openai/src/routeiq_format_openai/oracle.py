"""The rules that every stream we write keeps, C1 to C10."""

from __future__ import annotations

from typing import Any

from routeiq_sdk.openai_requests import wants_usage
from routeiq_sdk.request import Request
from routeiq_sdk.wire import SseFramer, loads, sse_data

from .chunks import NAME

_CONSTANT = ("id", "object", "created", "model")


class _Seen:
    """What one choice has had."""

    def __init__(self) -> None:
        self.finishes: list[str] = []
        self.calls: list[list[str]] = []
        self.functions: list[bool] = []
        self.deltas = 0


class _Oracle:
    def __init__(self, request: Request | None) -> None:
        self.problems: list[str] = []
        self.request = request
        self.choices: dict[int, _Seen] = {}
        self.opening: dict[str, Any] = {}
        self.usages = 0
        self.failed = False

    def say(self, rule: str, text: str) -> None:
        self.problems.append(f"{rule}: {text}")

    def chunk(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.failed = True
            return
        for name in _CONSTANT:
            value = chunk.get(name)
            if value in (None, "") or self.opening.setdefault(name, value) != value:
                self.say("C2", f"{name} is {value!r}, first {self.opening.get(name)!r}")
        choices = chunk.get("choices")
        for choice in choices or ():
            self.choice(choice, self.choices.setdefault(choice.get("index"), _Seen()))
        if chunk.get("usage") is not None:
            self.usages += 1
            if choices or not all(seen.finishes for seen in self.choices.values()):
                self.say("C8", "usage beside choices or before the last finish reason")

    def choice(self, choice: dict[str, Any], seen: _Seen) -> None:
        delta = choice.get("delta") or {}
        if ("role" in delta) is not (seen.deltas == 0):
            self.say("C3", f"choice {choice.get('index')}: role in delta {seen.deltas}")
        seen.deltas += 1
        if seen.finishes and delta:
            self.say("C4", "delta after the finish reason")
        for call in delta.get("tool_calls") or ():
            self.call(call, seen)
        if choice.get("finish_reason") is not None:
            seen.finishes.append(choice["finish_reason"])

    def call(self, call: dict[str, Any], seen: _Seen) -> None:
        index, inner = call.get("index"), call.get("function") or call.get("custom") or {}
        text = inner.get("arguments", inner.get("input"))
        if index == len(seen.calls):
            if not (call.get("id") and call.get("type") and inner.get("name") and isinstance(text, str)):
                self.say("C6", f"call {index} opens without id, type, name or arguments")
            seen.calls.append([text or ""])
            seen.functions.append("custom" not in call)
        elif isinstance(index, int) and 0 <= index < len(seen.calls):
            if call.get("id") or call.get("type") or inner.get("name"):
                self.say("C6", f"call {index} repeats its id, type or name")
            seen.calls[index].append(text or "")
        else:
            self.say("C6", f"call index {index!r} after {len(seen.calls)} calls")

    def ended(self, done: bool) -> None:
        for number, seen in self.choices.items():
            if done and len(seen.finishes) != 1:
                self.say("C5", f"choice {number} has {len(seen.finishes)} finish reasons")
            finish = seen.finishes[0] if seen.finishes else ""
            if finish == "tool_calls" and not all(
                _is_json("".join(texts)) for texts, known in zip(seen.calls, seen.functions, strict=True) if known
            ):
                self.say("C7", f"choice {number}: arguments are no JSON")
            if finish and (finish == "tool_calls") is not bool(seen.calls) and finish not in ("content_filter", "length"):
                self.say("C10", f"choice {number}: finish {finish!r} with {len(seen.calls)} calls")
        if done and self.request is not None and self.usages != int(wants_usage(self.request, NAME)):
            self.say("C8", f"{self.usages} usage chunks")


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except ValueError:
        return False
    return True


def check_stream(data: bytes, request: Request | None) -> list[str]:
    framer = SseFramer()
    frames = [text for frame in (*framer.feed(data), *framer.close()) if (text := sse_data(frame).strip())]
    oracle, done = _Oracle(request), False
    for text in frames:
        if done:
            oracle.say("C9", "data after [DONE]")
        if text == b"[DONE]":
            done = True
            if oracle.failed:
                oracle.say("C9", "[DONE] after an error")
            continue
        try:
            chunk = loads(text)
        except ValueError:
            chunk = None
        if isinstance(chunk, dict):
            oracle.chunk(chunk)
        else:
            oracle.say("C1", f"no JSON object: {text[:80]!r}")
    if not done and not oracle.failed:
        oracle.say("C9", "no [DONE]")
    oracle.ended(done)
    return oracle.problems
