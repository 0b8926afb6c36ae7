"""`latency-based-routing`: power of two choices with a peak EWMA, after Finagle's load balancer.

Of two deployments that are drawn, the one with the lower score goes first: its expected time to first content, times the attempts
that it would have running. (For a whole answer first content is all of it, so whole and streamed answers are measured apart.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp

from msgspec import Struct
from routeiq_sdk import Attempt, Deployment, Request, RequestContext

from .ranking import Draw, Ranked, Sources
from .running import Running
from .tally import Row

DECAY_S = 10.0
"""How fast new measurements replace a peak."""
BLAMED = frozenset((401, 402, 403, 404, 408, 429))
"""Client errors that are the deployment's; of the others no time is taken."""
UNKNOWN_S, MOST_S = 1.0, 600.0
"""What is expected where nothing is known, and at most."""
KEPT = 10_000
"""Deployments × 2 that are remembered; reloads may bring new ones."""
TOLD = ("whole answer", "first content")
"""What was measured, as other workers are told: of whole answers, of streams."""


class Peak(Struct):
    """Expected seconds, and when that was measured."""

    expected_s: float
    at_s: float


class Latency:
    """`ttl_s`: a measurement counts less and less for that long, and then no more: what is not known is taken to be as fast as the
    fastest, so a new deployment starts with its share and an old one is tried again. `buffer`: scores within that part of the
    lower one are alike."""

    def __init__(self, draw: Draw, running: Running, sources: Sources, ttl_s: float = 600.0, buffer: float = 0.0) -> None:
        self._draw, self._running, self._sources, self._ttl_s, self._buffer = draw, running, sources, ttl_s, buffer
        self._peaks: dict[tuple[str, bool], Peak] = {}
        self._slowest: dict[tuple[str, bool], float] | None = None
        """Of what was measured since others were told, once there are any."""

    def began(self, deployment: Deployment, rc: RequestContext) -> None:
        pass

    def ended(self, attempt: Attempt, rc: RequestContext) -> None:
        """An attempt without content would have taken longer than it lasted; one that failed counts double what was expected. The
        gateway's own probes ask for one token, which says little of what clients wait for."""
        assert rc.request is not None
        if rc.principal is not None and rc.principal.kind == "service":
            return
        key = attempt.deployment.id, rc.request.stream
        first, error = attempt.first_token_s, attempt.error
        if first is not None:
            self._take(key, first)
        elif error is None or attempt.outcome != "error":
            self._measure_least(key, attempt.duration_s, 1)
        elif error.http_status >= 500 or error.http_status in BLAMED:
            self._measure_least(key, attempt.duration_s, 2)

    def _measure_least(self, key: tuple[str, bool], lasted_s: float, factor: int) -> None:
        known = self._peaks.get(key)
        expected_s = known.expected_s if known else UNKNOWN_S
        least_s = min(max(lasted_s, factor * expected_s), MOST_S)
        if least_s > expected_s:
            self._take(key, least_s)

    def _take(self, key: tuple[str, bool], took_s: float) -> None:
        self._measure(key, took_s)
        if self._slowest is not None:
            self._slowest[key] = max(took_s, self._slowest.get(key, 0.0))

    def news(self, again: bool) -> Iterable[Row]:
        """Nothing again: a measurement is a thing of its moment. The slowest stands for those that were taken together, as peaks
        count at once."""
        slowest, self._slowest = self._slowest or {}, {}
        return [(TOLD[stream], id, [took_s]) for (id, stream), took_s in slowest.items()]

    def hear(self, sender: str, row: Row) -> None:
        """What others measured counts as measured here."""
        what, id, numbers = row
        if what in TOLD and len(numbers) == 1:
            self._measure((id, what == TOLD[True]), min(numbers[0], MOST_S))

    def _measure(self, key: tuple[str, bool], took_s: float) -> None:
        now, known = self._sources.clock.monotonic(), self._peaks.pop(key, None)
        if known is not None and took_s < known.expected_s:
            old = exp((known.at_s - now) / DECAY_S)
            took_s = known.expected_s * old + took_s * (1 - old)
        elif len(self._peaks) >= KEPT:
            del self._peaks[next(iter(self._peaks))]
        self._peaks[key] = Peak(took_s, now)

    def expected(self, alike: Sequence[Deployment], stream: bool) -> dict[str, float]:
        """Seconds by id."""
        now = self._sources.clock.monotonic()
        found = {each.id: peak for each in alike if (peak := self._peaks.get((each.id, stream))) and now < peak.at_s + self._ttl_s}
        fastest = min([peak.expected_s for peak in found.values()], default=UNKNOWN_S)
        weighed = {id: (peak.expected_s - fastest) * (1 - (now - peak.at_s) / self._ttl_s) for id, peak in found.items()}
        return {each.id: fastest + weighed.get(each.id, 0.0) for each in alike}

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        expected = self.expected(alike, request.stream)
        scores = {each.id: expected[each.id] * (1 + self._running.count(each)) for each in alike}
        drawn = self._draw(alike)
        pair = drawn[:2]
        low, high = sorted([scores[each.id] for each in pair]) if len(pair) == 2 else (0.0, 0.0)
        if high > low * (1 + self._buffer):
            pair.sort(key=lambda each: scores[each.id])
        first = pair[0]
        rest = sorted(drawn, key=lambda each: (each is not first, scores[each.id]))
        said = f"first content expected after {expected[first.id]:.3g} s, {self._running.count(first)} in flight"
        return Ranked(rest, said, scores)
