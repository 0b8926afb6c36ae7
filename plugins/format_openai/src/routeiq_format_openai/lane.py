"""The blocks of one choice while its answer is read: which are open, and when each closes.

One text-like block is open at a time. Tool blocks may interleave; one closes when another block opens and its arguments are a
complete JSON object already, else at the finish.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from routeiq_sdk.stream import Block, BlockDelta, BlockStart, BlockStop, Event, Frame, Media, Reasoning, Refusal, Seal, Stop, Text, ToolCall
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import loads

from .chunks import NAME, Call
from .citations import read_citation
from .parts import address
from .stops import read_stop

TEXT = Text(origin=NAME)
REFUSAL = Refusal(origin=NAME)
THOUGHT = Reasoning(origin=NAME)
_TEXT_OF = {"reasoning.summary": "summary", "thinking": "thinking"}
_STATE_OF = {"reasoning.encrypted": "data", "redacted_thinking": "data"}
MAX_CHECKS = 4
"""How often the arguments of a call are parsed; one that is still not whole then closes at the finish."""
_FORMS = {"reasoning.summary": "summary", "reasoning.encrypted": "encrypted", "redacted_thinking": "redacted"}


class Tool:
    __slots__ = ("args", "call_id", "checks", "custom", "ending", "given", "index", "name", "open")

    def __init__(self, call_id: str, custom: bool) -> None:
        self.call_id, self.given, self.custom = call_id, call_id, custom
        self.name, self.args, self.index, self.open = "", [], -1, False  # type: ignore[var-annotated]
        self.ending, self.checks = "", MAX_CHECKS

    def add(self, value: str) -> None:
        self.args.append(value)
        self.ending = value.rstrip()[-1:] or self.ending

    def is_whole(self) -> bool:
        """Whether the arguments are an object that has ended. Parsing is dear: only where it looks so, and only some times."""
        if self.custom or self.ending != "}" or not self.checks:
            return False
        self.checks -= 1
        try:
            loads("".join(self.args).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return False
        return True


class Lane:
    __slots__ = (
        "_audio", "_by_id", "_by_index", "_item", "_key", "_mint", "_next", "_taken", "_texts", "_tools", "_touched", "called", "finished",
        "index", "number", "odd", "refused",
    )  # fmt: skip

    def __init__(self, number: int, taken: set[str], mint: Callable[[int, int], str]) -> None:
        """`taken` holds the answer's call ids, of all choices; `mint(choice, block)` makes one."""
        self.number, self._taken, self._mint = number, taken, mint
        self._next, self.index, self._key = 0, -1, ""
        self._item: dict[str, Any] | None = None
        self._audio: dict[str, Any] = {}
        self._texts: list[str] = []
        self._tools: list[Tool] = []
        self._touched: dict[int, Tool] = {}
        """Calls with new arguments since the last block opened, by block."""
        self._by_index: dict[int, Tool] = {}
        self._by_id: dict[str, Tool] = {}
        self.called = self.refused = self.finished = self.odd = False

    def say(self, key: str, value: str, shell: Block, frame: Frame, out: list[Event]) -> None:
        """A piece of the text-like block `key`, which opens when another one or none is open."""
        if key != self._key:
            self.settle(frame, out)
            self._key, self.index = key, self._begin(shell, frame, out)
        out.append(BlockDelta(frame=frame, choice=self.number, index=self.index, field="text", value=value))

    def refuse(self, value: str, frame: Frame, out: list[Event]) -> None:
        self.refused = True
        self.say("refusal", value, REFUSAL, frame, out)

    def cite(self, annotation: Any, frame: Frame, out: list[Event]) -> None:
        """A citation of the open text, or of a new one where none is open."""
        cited = read_citation(annotation)
        if cited is None:
            return
        if self._key != "text":
            self.settle(frame, out)
            self._key, self.index = "text", self._begin(TEXT, frame, out)
        out.append(BlockDelta(frame=frame, choice=self.number, index=self.index, field="citation", value=dump(cited).decode()))

    def weigh(self, key: str, tokens: Any, frame: Frame, out: list[Event]) -> None:
        """Log probabilities of the open block's tokens."""
        if isinstance(tokens, list) and tokens and self._key == key:
            out.append(BlockDelta(frame=frame, choice=self.number, index=self.index, field="logprobs", value=dump(tokens).decode()))

    def show(self, image: Any, frame: Frame, out: list[Event]) -> None:
        """A generated image, whole."""
        link = image.get("image_url") if isinstance(image, dict) else None
        url = link.get("url") if isinstance(link, dict) else link
        if not isinstance(url, str):
            return
        self.settle(frame, out)
        given = address(url)
        data = given.pop("data", "")
        index = self._begin(Media(modality="image", origin=NAME, **given), frame, out)
        if data:
            out.append(BlockDelta(frame=frame, choice=self.number, index=index, field="data", value=data))
        whole = Media(modality="image", data=data or None, native=dump(image), origin=NAME, **given)
        out.append(BlockStop(frame=frame, choice=self.number, index=index, block=whole))

    def speak(self, audio: Any, frame: Frame, out: list[Event]) -> None:
        """A piece of a spoken answer."""
        if not isinstance(audio, dict):
            return
        if self._key != "audio":
            self.settle(frame, out)
            given = audio.get("id")
            shell = Media(modality="audio", id=given if isinstance(given, str) else None, origin=NAME)
            self._key, self.index, self._audio = "audio", self._begin(shell, frame, out), {}
        self._audio |= {name: value for name, value in audio.items() if name not in ("data", "transcript")}
        for field in ("data", "transcript"):
            if isinstance(value := audio.get(field), str) and value:
                out.append(BlockDelta(frame=frame, choice=self.number, index=self.index, field=field, value=value))

    def think(self, item: Any, frame: Frame, out: list[Event]) -> None:
        """An item of `reasoning_details` or `thinking_blocks`. Pieces of one item share its type and index."""
        if not isinstance(item, dict):
            return
        type_ = item.get("type")
        text, state = item.get(_TEXT_OF.get(str(type_), "text")), item.get(_STATE_OF.get(str(type_), "signature"))
        alone = type_ in _STATE_OF
        key = f"{type_} {item.get('index')} {item.get('id') if alone else ''}"
        if key != self._key:
            self.settle(frame, out)
            shell = Reasoning(form=_FORMS.get(str(type_), "thinking"), origin=NAME)
            self._key, self.index, self._item, self._texts = key, self._begin(shell, frame, out), {}, []
        self._item = {**(self._item or {}), **{name: value for name, value in item.items() if value not in (None, "")}}
        if isinstance(text, str) and text:
            self._texts.append(text)
            out.append(BlockDelta(frame=frame, choice=self.number, index=self.index, field="text", value=text))
        if isinstance(state, str) and state:
            out.append(BlockDelta(frame=frame, choice=self.number, index=self.index, field="signature", value=state))

    def call(self, call: Call, legacy: bool, whole: bool, frame: Frame, out: list[Event]) -> None:
        """A fragment of a tool call. `odd` is set for what the OpenAI clients cannot take as it is."""
        tool, known = self._tool(call, whole)
        function, name = call.function, _name(call)
        if known and (call.id or name) and not legacy and not whole:
            self.odd = True
        if not tool.open and tool.index < 0:
            tool.name = tool.name or name
        given = function.arguments if function else call.custom.input if call.custom else None
        value = given if isinstance(given, str) else dump(given).decode() if given is not None else ""
        if tool.index < 0 and not tool.name:
            self.odd = True
            tool.args.append(value)
            return
        if tool.index < 0:
            value = self._open_tool(tool, legacy, frame, out) + value
        self._fill(tool, value, frame, out)

    def _fill(self, tool: Tool, value: str, frame: Frame | None, out: list[Event]) -> None:
        if value and tool.open:
            tool.add(value)
            self._touched[tool.index] = tool
            field = "input" if tool.custom else "args"
            out.append(BlockDelta(frame=frame, choice=self.number, index=tool.index, field=field, value=value))

    def _tool(self, call: Call, whole: bool) -> tuple[Tool, bool]:
        """The call that a fragment belongs to, and whether it was known before."""
        index = call.index
        tool: Tool | None = None
        if index is None and not whole:
            self.odd = True
            by_id = self._by_id.get(call.id) if call.id else None
            tool = by_id or (self._tools[-1] if self._tools and not call.id and not _name(call) else None)
        elif index is not None:
            tool = self._by_index.get(index)
        if tool is not None and not (call.id and tool.given and call.id != tool.given):
            self._give(tool, call.id or "")
            return tool, True
        if index is not None and index != len(self._tools):
            self.odd = True
        tool = Tool(call.id or "", call.custom is not None)
        self._tools.append(tool)
        self._give(tool, tool.given)
        if index is not None:
            self._by_index[index] = tool
        return tool, False

    def _give(self, tool: Tool, call_id: str) -> None:
        tool.given = tool.given or call_id
        if tool.given:
            self._by_id.setdefault(tool.given, tool)

    def _open_tool(self, tool: Tool, legacy: bool, frame: Frame | None, out: list[Event]) -> str:
        """Returns the arguments that came before the name."""
        self.settle(frame, out)
        self.called = True
        tool.call_id = tool.given
        if not tool.call_id or tool.call_id in self._taken:
            tool.call_id = self._mint(self.number, self._next)
            self.odd = self.odd or not legacy
        self._taken.add(tool.call_id)
        kind = "custom" if tool.custom else "function"
        shell = ToolCall(call_id=tool.call_id, name=tool.name, input="" if tool.custom else None, kind=kind, origin=NAME)
        tool.index, tool.open = self._begin(shell, frame, out), True
        held, tool.args = "".join(tool.args), []
        return held

    def settle(self, frame: Frame | None, out: list[Event]) -> None:
        """Another block opens: close the text-like block and the calls that have become whole since the last one opened."""
        touched, self._touched = self._touched, {}
        self._close(frame, out, [tool for tool in touched.values() if tool.open and tool.is_whole()])

    def finish(self, native: str, frame: Frame | None, out: list[Event]) -> None:
        for tool in self._tools:
            if tool.index < 0:
                self._fill(tool, self._open_tool(tool, False, frame, out), frame, out)
        self._close(frame, out, [tool for tool in self._tools if tool.open])
        out.append(Stop(frame=frame, choice=self.number, reason=read_stop(native, self.called, self.refused), native=native))
        self.finished = True

    def _begin(self, shell: Block, frame: Frame | None, out: list[Event]) -> int:
        index = self._next
        self._next += 1
        out.append(BlockStart(frame=frame, choice=self.number, index=index, block=shell))
        return index

    def _close(self, frame: Frame | None, out: list[Event], tools: list[Tool]) -> None:
        closing: list[tuple[int, Block | None]] = [(tool.index, None) for tool in tools]
        if self._key:
            closing.append((self.index, self._thought()))
        for tool in tools:
            tool.open = False
        for index, block in sorted(closing, key=lambda pair: pair[0]):
            out.append(BlockStop(frame=frame, choice=self.number, index=index, block=block))
        self._key, self._item = "", None

    def _thought(self) -> Block | None:
        """The reasoning item that ends here, as it must go back to the provider, or what a spoken answer said beside its sound."""
        if self._key == "audio":
            return Media(modality="audio", native=dump(self._audio), origin=NAME)
        item = self._item
        if item is None:
            return None
        type_, text = str(item.get("type")), "".join(self._texts)
        if text:
            item[_TEXT_OF.get(type_, "text")] = text
        state = item.get(_STATE_OF.get(type_, "signature"))
        seal = Seal(state, NAME) if isinstance(state, str) else None
        return Reasoning(form=_FORMS.get(type_, "thinking"), text=text, seal=seal, native=dump(item), origin=NAME)


def _name(call: Call) -> str:
    inner = call.function or call.custom
    return (inner.name if inner else None) or ""


def mint(source: str, choice: int, block: int) -> str:
    """A call id for a provider that gave none."""
    return f"call_rq{hashlib.sha256(f'{source}/{choice}/{block}'.encode('utf-8', 'replace')).hexdigest()[:20]}"
