"""UTF-16 surrogate pairs that a provider cut between two deltas: the first half waits for the second, so every delta is
valid Unicode."""

from __future__ import annotations

from msgspec import structs
from routeiq_sdk.stream import BlockDelta, Event


class Mender:
    """`on` once the stream had a lone surrogate; `held` are first halves by choice, block and field."""

    __slots__ = ("held", "on")

    def __init__(self) -> None:
        self.on = False
        self.held: dict[tuple[int, int, str], str] = {}

    def mend(self, events: list[Event]) -> list[Event]:
        return [self._mended(event) if isinstance(event, BlockDelta) else event for event in events]

    def _mended(self, event: BlockDelta) -> BlockDelta:
        key = (event.choice, event.index, event.field)
        value = self.held.pop(key, "") + event.value
        if value and "\ud800" <= value[-1] <= "\udbff":
            self.held[key], value = value[-1], value[:-1]
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return event if whole == event.value else structs.replace(event, value=whole)
