"""The rules a whole stream of this format keeps, G1 to G7."""

from __future__ import annotations

import json
from typing import Any

from routeiq_sdk.wire import SseFramer

from .chunks import is_clean, payload

COUNTERS = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount", "thoughtsTokenCount", "cachedContentTokenCount")
ADDED = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")


def violations(data: bytes) -> list[str]:
    oracle = _Oracle()
    framer = SseFramer()
    for frame in [*framer.feed(data), *framer.close()]:
        if not frame.strip(b"\r\n"):
            continue
        if not is_clean(frame.lstrip(b"\r\n")):
            oracle.say(f"G1 the clients cannot read the line {frame[:40]!r}")
        oracle.feed(payload(frame))
    return oracle.close()


def array_violations(data: bytes) -> list[str]:
    try:
        items = json.loads(data)
    except ValueError:
        return ["G1 the body is no JSON"]
    if not isinstance(items, list):
        return ["G1 the body is no array"]
    oracle = _Oracle()
    for item in items:
        oracle.take(item)
    return oracle.close()


class _Oracle:
    def __init__(self) -> None:
        self.found: list[str] = []
        self.finished: set[int] = set()
        self.seen: set[int] = set()
        self.counts: dict[str, int] = {}
        self.usage: dict[str, Any] = {}
        self.same: dict[str, Any] = {}
        self.failed = self.blocked = False

    def say(self, text: str) -> None:
        self.found.append(text)

    def _check(self, holds: bool, text: str) -> None:
        if not holds:
            self.found.append(text)

    def feed(self, data: bytes) -> None:
        try:
            self.take(json.loads(data))
        except ValueError:
            self.say("G1 data is no JSON")

    def take(self, chunk: Any) -> None:
        if not isinstance(chunk, dict):
            return self.say("G1 data is no JSON object")
        self._check(not self.failed, "G7 a chunk after the error")
        if "error" in chunk:
            self._check(list(chunk) == ["error"], "G7 `error` is not the only key")
            self.failed = True
            return
        self.blocked = self.blocked or "blockReason" in (chunk.get("promptFeedback") or {})
        for name in ("responseId", "modelVersion"):
            if name in chunk:
                self._check(self.same.setdefault(name, chunk[name]) == chunk[name], f"G6 {name} changes")
        for candidate in chunk.get("candidates") or []:
            self._candidate(candidate)
        self._usage(chunk.get("usageMetadata") or {})

    def _candidate(self, candidate: dict[str, Any]) -> None:
        index = candidate.get("index", 0)
        content = candidate.get("content") or {}
        parts = content.get("parts") or []
        self.seen.add(index)
        self._check(not parts or content.get("role", "model") == "model", f"G5 role {content.get('role')!r}")
        self._check(index not in self.finished, f"G2 candidate {index} goes on after its finishReason")
        for part in parts:
            call = part.get("functionCall")
            if call is not None:
                self._check(bool(call.get("name")) and isinstance(call.get("args", {}), dict), "G3 a call without name or object args")
        if candidate.get("finishReason"):
            self.finished.add(index)

    def _usage(self, usage: dict[str, Any]) -> None:
        for name in COUNTERS:
            count = usage.get(name)
            if count is not None:
                self._check(count >= self.counts.get(name, 0), f"G4 {name} decreases")
                self.counts[name] = count
        if usage.get("totalTokenCount") is not None:
            self.usage = usage

    def close(self) -> list[str]:
        if self.failed:
            return self.found
        for index in sorted(self.seen - self.finished):
            self.say(f"G2 candidate {index} has no finishReason")
        self._check(bool(self.seen) or self.blocked, "G2 no candidate")
        total = self.usage.get("totalTokenCount")
        added = sum(self.usage.get(name) or 0 for name in ADDED)
        self._check(total is None or total == added, f"G4 the total {total} is not {added}")
        return self.found
