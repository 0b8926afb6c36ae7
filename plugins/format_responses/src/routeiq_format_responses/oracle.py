"""The rules that every stream we write keeps, R1 to R10."""

from __future__ import annotations

from typing import Any

from routeiq_sdk.wire import SseFramer, loads, sse_data, sse_event

from .errors import LAST

_TERMINAL = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
_PARTS = {"response.output_text": "text", "response.refusal": "refusal"}
_FILLS = {
    "response.function_call_arguments": "arguments", "response.custom_tool_call_input": "input",
    "response.reasoning_summary_text": "text", "response.reasoning_text": "text",
}  # fmt: skip


class _Oracle:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.count = 0
        self.response_id: Any = None
        self.open: dict[int, dict[str, Any]] = {}
        self.done: list[dict[str, Any]] = []
        self.last_index = -1
        self.parts: dict[tuple[int, Any], bool] = {}
        """Content parts by place: whether one is open."""
        self.said: dict[tuple[str, int, Any], list[str]] = {}
        self.terminal = self.failed = False

    def say(self, rule: str, text: str) -> None:
        self.problems.append(f"{rule}: {text}")

    def event(self, name: str, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if name != kind:
            self.say("R1", f"event {name!r} holds type {kind!r}")
        number = event.get("sequence_number")
        if number != self.count and not (kind in ("error", "response.failed") and isinstance(number, int) and number >= LAST):
            self.say("R2", f"sequence number {number!r} where {self.count} is next")
        self.count += 1
        if (self.count == 1) is not (kind == "response.created") and kind not in ("error", "response.failed"):
            self.say("R3", f"event {self.count} is {kind}")
        if self.count == 2 and kind not in ("response.in_progress", "response.queued", "error"):
            self.say("R3", f"{kind} follows response.created")
        if self.terminal or (self.failed and kind != "response.failed"):
            self.say("R7", f"{kind} after the end")
        response = event.get("response")
        if isinstance(response, dict):
            self.response(response)
        if kind in _TERMINAL:
            self.ended(str(kind), response if isinstance(response, dict) else {})
        elif kind == "error":
            self.failed = True
        else:
            self.inner(str(kind), event)

    def response(self, response: dict[str, Any]) -> None:
        self.response_id = self.response_id or response.get("id")
        if (not response.get("id") or response["id"] != self.response_id) and not self.failed:
            self.say("R9", f"response id {response.get('id')!r}, first {self.response_id!r}")

    def inner(self, kind: str, event: dict[str, Any]) -> None:
        index, item = event.get("output_index"), event.get("item")
        if kind == "response.output_item.added":
            self.added(index, item if isinstance(item, dict) else {})
        elif kind == "response.output_item.done":
            self.item_done(index, item if isinstance(item, dict) else {})
        elif isinstance(index, int):
            known = self.open.get(index)
            if known is None:
                self.say("R4", f"{kind} for item {index}, which is not open")
            elif "item_id" in event and event["item_id"] != known.get("id"):
                self.say("R4", f"{kind} names item {event['item_id']!r}, not {known.get('id')!r}")
            self.filled(kind, index, event)

    def added(self, index: Any, item: dict[str, Any]) -> None:
        if not isinstance(index, int) or index <= self.last_index:
            self.say("R4", f"output index {index!r} after {self.last_index}")
            return
        self.last_index = index
        self.open[index] = item

    def item_done(self, index: Any, item: dict[str, Any]) -> None:
        known = self.open.pop(index, None)
        if known is None or (known.get("id"), known.get("type")) != (item.get("id"), item.get("type")):
            self.say("R4", f"item {index!r} is done, which was not added as such")
        if any(is_open for (place, _), is_open in self.parts.items() if place == index):
            self.say("R5", f"item {index} is done with an open part")
        self.done.append({"index": index, "item": item})

    def filled(self, kind: str, index: int, event: dict[str, Any]) -> None:
        content = event.get("content_index")
        if kind == "response.content_part.added":
            expected = sum(place == index for place, _ in self.parts)
            if content != expected:
                self.say("R5", f"part {content!r} of item {index}, {expected} is next")
            self.parts[index, content] = True
            return
        if kind == "response.content_part.done":
            if not self.parts.get((index, content)):
                self.say("R5", f"part {content!r} of item {index} is done, not open")
            self.parts[index, content] = False
            return
        stem, _, last = kind.rpartition(".")
        if stem in _PARTS and last in ("delta", "done") and not self.parts.get((index, content)):
            self.say("R5", f"{kind} for part {content!r} of item {index}, which is not open")
        field = _PARTS.get(stem) or _FILLS.get(stem)
        if field is None:
            return
        said = self.said.setdefault((stem, index, event.get("summary_index", content)), [])
        if last == "delta":
            said.append(str(event.get("delta")))
        elif last == "done" and event.get(field) != "".join(said):
            self.say("R6", f"{kind} of item {index} is not the sum of its deltas")

    def ended(self, kind: str, response: dict[str, Any]) -> None:
        self.terminal = True
        if response.get("status") != _TERMINAL[kind]:
            self.say("R10", f"{kind} with status {response.get('status')!r}")
        if kind == "response.failed":
            return
        if self.open:
            self.say("R4", f"items {sorted(self.open)} are open at the end")
        if "usage" not in response:
            self.say("R10", f"{kind} without usage")
        done = [(each["item"].get("id"), each["item"].get("type")) for each in sorted(self.done, key=lambda each: each["index"])]
        if [(item.get("id"), item.get("type")) for item in response.get("output") or ()] != done:
            self.say("R8", "the whole output is not the items that are done")


def check_stream(data: bytes) -> list[str]:
    framer, oracle = SseFramer(), _Oracle()
    for frame in (*framer.feed(data), *framer.close()):
        text = sse_data(frame).strip()
        if not text:
            continue
        try:
            event = loads(text)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            oracle.event(sse_event(frame), event)
        else:
            oracle.say("R1", f"no JSON object: {text[:80]!r}")
    if not oracle.terminal:
        oracle.say("R7", "no terminal event")
    return oracle.problems
