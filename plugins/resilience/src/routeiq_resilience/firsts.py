"""How long a deployment takes to its first content."""

from __future__ import annotations

from collections import deque

KEPT = 200
REFRESH = 50
QUANTILE = 0.99


class Firsts:
    """The 99th percentile of the last 200 times, worked out anew after every 50."""

    __slots__ = ("_since", "_times", "p99_s")

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=KEPT)
        self._since = 0
        self.p99_s = 0.0

    def add(self, seconds: float) -> None:
        self._times.append(seconds)
        self._since += 1
        if self._since >= REFRESH:
            self._since = 0
            ranked = sorted(self._times)
            self.p99_s = ranked[int(QUANTILE * (len(ranked) - 1))]
