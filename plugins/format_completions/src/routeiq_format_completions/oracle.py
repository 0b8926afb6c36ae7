"""The rules that every stream we write keeps: C1, C2, C4, C5, C8 and C9 of Chat Completions, on `text`."""

from __future__ import annotations

from typing import Any

from routeiq_sdk.openai_requests import wants_usage
from routeiq_sdk.request import Request
from routeiq_sdk.wire import SseFramer, loads, sse_data

from .chunks import NAME

_CONSTANT = ("id", "object", "created", "model")


class _Oracle:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.finishes: dict[Any, int] = {}
        self.opening: dict[str, Any] = {}
        self.usages = 0
        self.failed = self.done = False

    def say(self, rule: str, text: str) -> None:
        self.problems.append(f"{rule}: {text}")

    def data(self, text: bytes) -> None:
        if self.done:
            self.say("C9", "data after [DONE]")
        if text == b"[DONE]":
            self.done = True
            if self.failed:
                self.say("C9", "[DONE] after an error")
            return
        try:
            chunk = loads(text)
        except ValueError:
            chunk = None
        if isinstance(chunk, dict):
            self.chunk(chunk)
        else:
            self.say("C1", f"no JSON object: {text[:80]!r}")

    def chunk(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.failed = True
            return
        for name in _CONSTANT:
            value = chunk.get(name)
            if value in (None, "") or self.opening.setdefault(name, value) != value:
                self.say("C2", f"{name} is {value!r}, first {self.opening.get(name)!r}")
        choices = chunk.get("choices") or ()
        for choice in choices:
            number = choice.get("index")
            if self.finishes.setdefault(number, 0) and choice.get("text"):
                self.say("C4", f"choice {number}: text after the finish reason")
            self.finishes[number] += choice.get("finish_reason") is not None
        if chunk.get("usage") is not None:
            self.usages += 1
            if choices or not all(self.finishes.values()):
                self.say("C8", "usage beside choices or before the last finish reason")

    def ended(self, request: Request | None) -> None:
        if not self.done and not self.failed:
            self.say("C9", "no [DONE]")
        if not self.done:
            return
        for number, count in self.finishes.items():
            if count != 1:
                self.say("C5", f"choice {number} has {count} finish reasons")
        if request is not None and self.usages != int(wants_usage(request, NAME)):
            self.say("C8", f"{self.usages} usage chunks")


def check_stream(data: bytes, request: Request | None) -> list[str]:
    framer = SseFramer()
    oracle = _Oracle()
    for frame in (*framer.feed(data), *framer.close()):
        if text := sse_data(frame).strip():
            oracle.data(text)
    oracle.ended(request)
    return oracle.problems
