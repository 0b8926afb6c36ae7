"""Numbers of deployments that add up over workers: what this one has to tell of its own, and the sums of what others told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = tuple[str, str, Sequence[float]]
"""What the numbers count, the deployment's id, and the numbers."""
KEPT = 10_000
"""Deployments of which others are heard."""


class Tally:
    """`what` names the numbers, of which a deployment has `width`. `life_rounds`: what nobody repeats for so many rounds is forgotten,
    as its worker is gone; None never forgets.

    Told are totals, so that a message replaces all before it, and the next round makes good a lost one."""

    def __init__(self, what: str, width: int, life_rounds: int | None) -> None:
        self._what, self._width, self._life_rounds, self._round = what, width, life_rounds, 0
        self.others: dict[str, list[float]] = {}
        """By deployment, the sums of all other workers."""
        self._heard: dict[str, dict[str, tuple[int, Sequence[float]]]] = {}
        self._told: Mapping[str, Sequence[float]] = {}

    def news(self, own: Mapping[str, Sequence[float]], again: bool) -> list[Row]:
        """What of `own` the others do not know; all of it in a new round (`again`). What is no longer there is told to be nothing."""
        if again:
            self._next_round()
        before, self._told = self._told, own
        gone = {id: [0.0] * self._width for id in before if id not in own}
        new = {id: numbers for id, numbers in own.items() if again or before.get(id) != numbers}
        return [(self._what, id, numbers) for id, numbers in (gone | new).items()]

    def hear(self, sender: str, row: Row) -> None:
        what, id, numbers = row
        if what == self._what and len(numbers) == self._width and (id in self._heard or len(self._heard) < KEPT):
            self._heard.setdefault(id, {})[sender] = self._round, numbers
            self._add_up(id)

    def _next_round(self) -> None:
        self._round += 1
        if self._life_rounds is None:
            return
        oldest = self._round - self._life_rounds
        for id, said in list(self._heard.items()):
            alive = {sender: told for sender, told in said.items() if told[0] >= oldest}
            if len(alive) < len(said):
                self._heard[id] = alive
                self._add_up(id)

    def _add_up(self, id: str) -> None:
        if said := self._heard[id]:
            self.others[id] = [sum(each) for each in zip(*(numbers for _, numbers in said.values()), strict=True)]
        else:
            del self._heard[id], self.others[id]
