"""PolicyExecutor: runs the answer's hooks over the events of one attempt, streamed or whole alike.

`on_stream_event` sees every event; then blocks are assembled and `on_block` judges whole ones, while their events (and, to keep
the order, those behind them) are held back unless every such plugin only observes. With `hold` ANSWER, and for whole answers,
`on_response` judges the lot. Afterwards block indices are dense again and stop reasons agree with the blocks that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from msgspec import structs
from routeiq_sdk import Deny, Hold, Response
from routeiq_sdk.stream import Block, BlockDelta, BlockStart, BlockStop, Error, Event, MessageEnd, Stop, ToolCall, replace

from ..runtime.guard import fold, pass_event
from .aside import tell_aside
from .blocks import assemble, disassemble
from .context import Rc, Stopped
from .watchdog import Watch

Key = tuple[int, int]


class Executor:
    def __init__(self, rc: Rc, watch: Watch, whole: bool) -> None:
        chains = rc.graph.chains
        self._rc, self._watch = rc, watch
        self._event_cells = chains.on_stream_event
        self.judges = tuple(cell for cell in chains.on_block if cell.manifest.hold is not Hold.NOTHING)
        self._watchers = tuple(cell for cell in chains.on_block if cell.manifest.hold is Hold.NOTHING)
        self._responders = tuple(cell for cell in chains.on_response if whole or cell.manifest.hold is Hold.ANSWER)
        self._held: list[tuple[Key | None, Event]] = []
        self._open: dict[Key, list[Event]] = {}
        self._answer: list[Event] = []
        self._order = Order()
        self._edited = False
        """Until the first edit the decoder's own order and stop reasons hold."""
        self._changed: set[Key] = set()
        """Blocks whose deltas a plugin replaced: their native final form is no longer theirs."""
        self._fresh = count(-1, -1)
        """Blocks made by plugins have negative indices, each its own, until `Order` numbers them."""
        self.held_bytes = 0

    async def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Events in, events out. Raises `Stopped` (denied) when a plugin refuses."""
        if self._event_cells:
            events = self._each(events)
        if self._watchers or self.judges:
            events = await self._blocks(events)
        if self._responders and events:
            events = await self._whole(events)
        if self._edited:
            return self._order.tidy(events)
        for event in events:
            if type(event) is BlockStart:
                self._order.open(event)
        return events

    def _each(self, events: Sequence[Event]) -> Sequence[Event]:
        cells, rc = self._event_cells, self._rc
        out: list[Event] | None = None
        for place, event in enumerate(events):
            answer = pass_event(cells, event, rc)
            if isinstance(event, BlockStart | BlockDelta):
                if answer is not event:
                    self._changed.add((event.choice, event.index))
            elif isinstance(answer, BlockStop) and answer.block is not None and (answer.choice, answer.index) in self._changed:
                answer = replace(answer, block=None)
            if answer is event:
                if out is not None:
                    out.append(event)
                continue
            if isinstance(answer, Deny):
                raise denied(answer)
            if out is None:
                out = list(events[:place])
            made = (answer,) if isinstance(answer, Event) else answer
            out.extend(each if each is event or each.frame is None else structs.replace(each, frame=None) for each in made)
        if out is None:
            return events
        self._edited = True
        return out

    async def _blocks(self, events: Sequence[Event]) -> Sequence[Event]:
        out: list[Event] = []
        for event in events:
            key = (event.choice, event.index) if isinstance(event, BlockStart | BlockDelta | BlockStop) else None
            if key is not None:
                if isinstance(event, BlockStart):
                    self._open[key] = []
                if key not in self._open:
                    self._edited = True
                    continue  # a plugin dropped the start of this block
                self._open[key].append(event)
            if self.judges:
                if isinstance(event, Error):
                    self._held = [pair for pair in self._held if pair[0] is None]  # nobody judged the rest, so it does not leave
                    self._open.clear()
                elif isinstance(event, MessageEnd):
                    for left in tuple(self._open):
                        await self._judge(left)
                self._hold(key, event)
            else:
                out.append(event)
            if key is not None and isinstance(event, BlockStop):
                await self._judge(key)
            if self.judges:
                out += self._flush(isinstance(event, MessageEnd | Error))
        return out

    def _hold(self, key: Key | None, event: Event) -> None:
        self._held.append((key, event))
        if isinstance(event, BlockDelta):
            self._count(len(event.value))

    def _count(self, more: int) -> None:
        self.held_bytes += more
        if self.held_bytes > self._rc.graph.settings.limits.max_response_bytes:
            message = "The answer is larger than the gateway may hold back."
            raise Stopped(Error(kind="bad_gateway", code="answer_too_large", message=message))

    async def _judge(self, key: Key) -> None:
        block = assemble(self._open.pop(key))
        if self._watchers:
            live = self._rc.graph.live
            live.spawn(tell_aside(live, self._watchers, block, self._rc))
        if not self.judges:
            return
        answer: list[Block] = [block]
        for cell in self.judges:
            answer = [out for each in answer for out in await self._judged(cell, each)]
        if len(answer) == 1 and answer[0] is block:
            self._held = [(None if held == key else held, event) for held, event in self._held]
            return
        self._edited = True
        place = next(at for at, (held, _) in enumerate(self._held) if held == key)
        made: list[tuple[Key | None, Event]] = [(None, event) for each in answer for event in disassemble(each, key[0], next(self._fresh))]
        self._held = self._held[:place] + made + [pair for pair in self._held[place:] if pair[0] != key]

    async def _judged(self, cell: object, block: Block) -> Sequence[Block]:
        answer = await fold((cell,), self._watch, block, self._rc)  # type: ignore[arg-type]
        if isinstance(answer, Deny):
            raise denied(answer)
        return (answer,) if isinstance(answer, Block) else tuple(answer)

    def _flush(self, everything: bool) -> list[Event]:
        """Held events up to the first whose block is not judged yet."""
        ready = len(self._held)
        if not everything:
            ready = next((at for at, (key, _) in enumerate(self._held) if key is not None), ready)
        if not ready:
            return []
        out = [event for _, event in self._held[:ready]]
        self._held = self._held[ready:]
        self.held_bytes = self.held_bytes if self._held else 0
        return out

    async def _whole(self, events: Sequence[Event]) -> Sequence[Event]:
        self._answer += events
        self._count(sum(len(event.value) for event in events if isinstance(event, BlockDelta)))
        if not isinstance(self._answer[-1], MessageEnd):
            return [event for event in self._answer if isinstance(event, Error)]
        held, self._answer = self._answer, []
        for choice in sorted({event.choice for event in held if isinstance(event, BlockStart | Stop)}):
            held = await self._respond(choice, held)
        return held

    async def _respond(self, choice: int, events: list[Event]) -> list[Event]:
        groups: dict[int, list[Event]] = {}
        for event in events:
            if not isinstance(event, BlockStart | BlockDelta | BlockStop) or event.choice != choice:
                continue
            if isinstance(event, BlockStart) or event.index in groups:  # else a plugin dropped the start
                groups.setdefault(event.index, []).append(event)
        stop = next((event for event in events if isinstance(event, Stop) and event.choice == choice), None)
        before = Response(blocks=tuple(assemble(group) for group in groups.values()), stop=stop.reason if stop else None, choice=choice)
        after = await fold(self._responders, self._watch, before, self._rc)
        if isinstance(after, Deny):
            raise denied(after)
        if after is before:
            return events
        self._edited = True
        made = [event for block in after.blocks for event in disassemble(block, choice, next(self._fresh))]
        return _swapped(events, choice, made, after.stop)


def _swapped(events: list[Event], choice: int, made: list[Event], stop: str | None) -> list[Event]:
    out: list[Event] = []
    for event in events:
        if event.choice != choice or not isinstance(event, BlockStart | BlockDelta | BlockStop | Stop):
            out.append(event)
            continue
        out += made
        made = []
        if isinstance(event, Stop):
            out.append(event if stop is None or stop == event.reason else replace(event, reason=stop, native=""))
    return out


class Order:
    """Dense block indices per choice, and stop reasons that agree with the blocks."""

    __slots__ = ("_calls", "_next", "_places")

    def __init__(self) -> None:
        self._places: dict[Key, int] = {}
        self._next: dict[int, int] = {}
        self._calls: set[int] = set()

    def tidy(self, events: Sequence[Event]) -> Sequence[Event]:
        return [kept for event in events if (kept := self._tidied(event)) is not None]

    def _tidied(self, event: Event) -> Event | None:
        kind = type(event)
        if kind is BlockDelta or kind is BlockStop:
            place = self._places.get((event.choice, event.index))  # type: ignore[attr-defined]
        elif kind is BlockStart:
            place = self.open(event)  # type: ignore[arg-type]
        else:
            return self._stop(event) if kind is Stop else event  # type: ignore[arg-type]
        if place is None:
            return None  # its start was dropped
        return event if place == event.index else replace(event, index=place)  # type: ignore[attr-defined]

    def open(self, event: BlockStart) -> int:
        """The index that this block gets."""
        place = self._next.get(event.choice, 0)
        self._next[event.choice] = place + 1
        self._places[event.choice, event.index] = place
        if isinstance(event.block, ToolCall) and event.block.owner == "client":
            self._calls.add(event.choice)
        return place

    def _stop(self, event: Stop) -> Stop:
        called = event.choice in self._calls
        if event.reason == "tool_use" and not called:
            return replace(event, reason="stop", native="")
        if event.reason == "stop" and called:
            return replace(event, reason="tool_use", native="")
        return event


def denied(answer: Deny) -> Stopped:
    error = Error(kind="denied", status=answer.status, code=answer.code, message=answer.message, retry_after_s=answer.retry_after_s)
    return Stopped(error, "denied")
