"""The rules a whole Messages stream keeps, A1 to A11."""

from __future__ import annotations

import json
from typing import Any

from routeiq_sdk.wire import SseFramer, sse_data, sse_event

DELTAS = {
    "text": ("text_delta", "citations_delta"),
    "thinking": ("thinking_delta", "signature_delta"),
    "redacted_thinking": (),
    "tool_use": ("input_json_delta",),
    "server_tool_use": ("input_json_delta",),
    "mcp_tool_use": ("input_json_delta",),
    "compaction": ("compaction_delta",),
}
EXCUSED = ("max_tokens", "refusal", "pause_turn", "model_context_window_exceeded")
COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def violations(data: bytes) -> list[str]:
    oracle = _Oracle()
    framer = SseFramer()
    for frame in [*framer.feed(data), *framer.close()]:
        oracle.feed(frame)
    return oracle.close()


class _Oracle:
    def __init__(self) -> None:
        self.found: list[str] = []
        self.started = self.stopped = self.failed = False
        self.index = -1
        self.open: dict[str, Any] | None = None
        self.json: list[str] = []
        self.signatures, self.bad_json = 0, False
        self.reason: str | None = None
        self.has_tools = False
        self.output = 0

    def feed(self, frame: bytes) -> None:
        data, name = sse_data(frame), sse_event(frame)
        if not data:
            return
        try:
            event = json.loads(data)
        except ValueError:
            return self._say("A1 data is no JSON")
        if not isinstance(event, dict):
            return self._say("A1 data is no JSON object")
        type_ = event.get("type", "")
        self._check(name == type_, f"A7 event {name!r} holds type {type_!r}")
        if type_ == "ping":
            return
        self._check(not self.stopped and not self.failed, f"A6 {type_} after the end")
        self._check(self.started or type_ in ("message_start", "error"), f"A1 {type_} before message_start")
        handler = getattr(self, f"_on_{type_}", None)
        if handler:
            handler(event)

    def _say(self, text: str) -> None:
        self.found.append(text)

    def _check(self, holds: bool, text: str) -> None:
        if not holds:
            self.found.append(text)

    def _on_message_start(self, event: dict[str, Any]) -> None:
        self._check(not self.started, "A1 a second message_start")
        self._check(isinstance(_object(event, "message").get("usage"), dict), "A1 message_start without usage")
        self.started = True

    def _on_content_block_start(self, event: dict[str, Any]) -> None:
        self._check(event.get("index") == self.index + 1, f"A2 block {event.get('index')} after {self.index}")
        self._check(self.open is None, "A2 two blocks open")
        self._check(self.reason is None, "A5 a block after message_delta")
        self._check(isinstance(event.get("content_block"), dict), "A3 content_block is no object")
        self.open, self.index = _object(event, "content_block"), event.get("index", -1)
        self.json, self.signatures = [], 0
        self.has_tools = self.has_tools or self.open.get("type") == "tool_use"

    def _on_content_block_delta(self, event: dict[str, Any]) -> None:
        if self.open is None or event.get("index") != self.index:
            return self._say(f"A2 delta for block {event.get('index')}, which is not open")
        delta, kind = _object(event, "delta"), self.open.get("type", "")
        fitting = DELTAS.get(str(kind))
        self._check(fitting is None or delta.get("type") in fitting, f"A3 {delta.get('type')} in a {kind} block")
        self._check(not self.signatures or delta.get("type") == "signature_delta", "A9 a delta after the signature")
        self.signatures += delta.get("type") == "signature_delta"
        self._check(self.signatures < 2, "A9 two signatures")
        self.json.append(str(delta.get("partial_json") or ""))

    def _on_content_block_stop(self, event: dict[str, Any]) -> None:
        if self.open is None or event.get("index") != self.index:
            return self._say(f"A4 stop of block {event.get('index')}, which is not open")
        try:
            whole = json.loads("".join(self.json) or "{}")
        except ValueError:
            whole = None
        self.bad_json = self.bad_json or not isinstance(whole, dict)
        self.open = None

    def _on_message_delta(self, event: dict[str, Any]) -> None:
        reason = _object(event, "delta").get("stop_reason")
        self._check(reason is None or self.reason is None, "A5 two stop reasons")
        self._check(self.open is None, "A5 message_delta inside a block")
        self.reason = reason or self.reason
        usage = _object(event, "usage")
        counts = [count if isinstance(count := usage.get(name), int) else 0 for name in COUNTERS]
        self._check(min(counts) >= 0, "A10 a negative counter")
        output = counts[1]
        self._check(output >= self.output or self.reason == "refusal", "A10 output_tokens is an increment")
        self.output = output

    def _on_message_stop(self, event: dict[str, Any]) -> None:
        self.stopped = True

    def _on_error(self, event: dict[str, Any]) -> None:
        self.failed = True

    def close(self) -> list[str]:
        if self.failed:
            return self.found
        self._check(self.stopped, "A6 no message_stop")
        self._check(self.reason is not None, "A5 no stop reason")
        self._check(not self.bad_json or self.reason == "max_tokens", "A8 partial_json is no JSON object")
        if self.reason not in EXCUSED:
            self._check((self.reason == "tool_use") == self.has_tools, f"A11 stop reason {self.reason} with tools={self.has_tools}")
        return self.found


def _object(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    return value if isinstance(value, dict) else {}
