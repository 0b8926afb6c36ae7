"""The counters of one worker. They are kept when a reload makes a new instance of the plugin, and bounded whatever clients call
themselves: what does not fit is counted as `other`, and how often that happened is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from secrets import token_hex
from time import time
from typing import Any

from routeiq_sdk import Outcome

from .counts import Row, is_unknown

DIMENSIONS = ("agent", "provider", "model", "project")
OTHER = "other"
MAX_SERIES = 1000
MAX_LABEL_CHARS = 64
MAX_RECENT = 100


class Metrics:
    def __init__(self) -> None:
        self.worker = token_hex(8)
        self.reset()

    def reset(self) -> None:
        self._since_s = time()
        self._rows: dict[tuple[str, ...], Row] = {}
        self._values: tuple[set[str], ...] = tuple(set() for _ in DIMENSIONS)
        self._overflow = dict.fromkeys(DIMENSIONS, 0)
        self._recent: deque[tuple[str, float, tuple[str, ...], Outcome, bool]] = deque(maxlen=MAX_RECENT)

    def record(self, request_id: str, labels: Sequence[str], outcome: Outcome, *, priced: bool, limit: int) -> None:
        """`labels` in the order of `DIMENSIONS`, of which each may have `limit` values."""
        key = tuple([self._bounded(place, label[:MAX_LABEL_CHARS], limit) for place, label in enumerate(labels)])
        if key not in self._rows and len(self._rows) >= MAX_SERIES:
            key = (OTHER,) * len(DIMENSIONS)
            for name in DIMENSIONS:
                self._overflow[name] += 1
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = Row()
        unknown = is_unknown(outcome, priced)
        row.take(outcome, unknown)
        self._recent.append((request_id, time(), key, outcome, unknown))

    def recent(self) -> list[dict[str, Any]]:
        return [_entry(*each) for each in self._recent]

    def _bounded(self, place: int, label: str, limit: int) -> str:
        values = self._values[place]
        if label in values:
            return label
        if len(values) >= limit:
            self._overflow[DIMENSIONS[place]] += 1
            return OTHER
        values.add(label)
        return label

    def packed(self) -> list[Any]:
        """What another worker needs to add these counters to its own: the first item is about all of them."""
        head = {"since_s": self._since_s, "overflow": self._overflow}
        return [head, *([*key, row.packed()] for key, row in self._rows.items())]


def _entry(request_id: str, ended_time_s: float, labels: tuple[str, ...], outcome: Outcome, unknown: bool) -> dict[str, Any]:
    cost = "unknown" if unknown else str(outcome.cost or 0)
    return {
        "request_id": request_id, "ended_time_s": round(ended_time_s, 3), "status": outcome.status, "http_status": outcome.http_status,
        **dict(zip(DIMENSIONS, labels, strict=True)), "attempts": len(outcome.attempts), "cost_usd": cost,
        "tokens": outcome.usage and outcome.usage.total(), "latency_ms": round(outcome.duration_s * 1000, 3),
    }  # fmt: skip


class Sum:
    """The counters of several workers."""

    def __init__(self, workers: Sequence[Sequence[Any]]) -> None:
        """Each item is what `Metrics.packed` gave."""
        heads = [items[0] for items in workers if items]
        self.since_s = min((head["since_s"] for head in heads), default=time())
        self.overflow = {name: sum(head["overflow"][name] for head in heads) for name in DIMENSIONS}
        self._rows = [(tuple(labels), Row.unpacked(row)) for items in workers for *labels, row in items[1:]]

    def by(self, dimension: str) -> dict[str, Any]:
        """The most frequent first."""
        place, sums = DIMENSIONS.index(dimension), dict[str, Row]()
        for labels, row in self._rows:
            sums.setdefault(labels[place], Row()).add(row)
        return {label: row.told() for label, row in sorted(sums.items(), key=lambda pair: (-pair[1].requests, pair[0]))}

    def summary(self) -> dict[str, Any]:
        total = Row()
        for _, row in self._rows:
            total.add(row)
        told = total.told()
        renamed = {"total_requests": told.pop("requests"), "total_cost_usd": told.pop("cost_usd"), "total_tokens": told["tokens"]["total"]}
        return {**renamed, "avg_latency_ms": told["latency_ms"]["mean"], **told}


def latest(workers: Sequence[Sequence[dict[str, Any]]], limit: int) -> list[dict[str, Any]]:
    """The newest first."""
    found: Iterator[dict[str, Any]] = (entry for entries in workers for entry in entries)
    return sorted(found, key=lambda entry: -entry["ended_time_s"])[:limit]
