"""The limits, and whether a run keeps them. Figures are minima over rounds; errors are summed over rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Any

PLAIN = "routeiq-plain"
Rounds = Mapping[str, Sequence[Mapping[str, Any]]]
"""Target → its rounds; a round holds `ready_s`, `idle_mb` and one entry per scenario."""


@dataclass(frozen=True)
class Verdict:
    what: str
    limit: str
    measured: str
    passed: bool


class Missing(Exception):
    """The run holds no such figure."""


class Run:
    """One run's figures."""

    def __init__(self, rounds: Rounds, extra: Mapping[str, float]) -> None:
        self.rounds, self.extra = rounds, extra

    def best(self, target: str, *keys: str) -> float:
        values = [value for value in (_dig(each, keys) for each in self.rounds.get(target, ())) if value is not None]
        if not values:
            raise Missing(f"{target} has no {'.'.join(keys)}")
        return float(min(values))

    def ratio(self, target: str, base: str, *keys: str) -> float:
        return self.best(target, *keys) / self.best(base, *keys)

    def paired(self, target: str, base: str, *keys: str) -> tuple[float, float, float]:
        """Median of the ratios of the rounds, with its interval of at least 95 % from order statistics (Conover 1999, 3.2)."""
        rounds = zip(self.rounds.get(target, ()), self.rounds.get(base, ()), strict=False)
        pairs = [(_dig(one, keys), _dig(other, keys)) for one, other in rounds]
        ratios = sorted(one / other for one, other in pairs if one and other)
        if len(ratios) < 10:
            raise Missing(f"{len(ratios)} of 10 pairs")
        outside, rank = 0.0, 0
        while outside + comb(len(ratios), rank) / 2 ** len(ratios) <= 0.025:
            outside += comb(len(ratios), rank) / 2 ** len(ratios)
            rank += 1
        return median(ratios), ratios[rank - 1], ratios[-rank]

    def errors(self, target: str, scenario: str) -> int:
        entries = [_dig(each, (scenario, "errors")) for each in self.rounds.get(target, ())]
        if not any(entry is not None for entry in entries):
            raise Missing(f"{target} has no {scenario}")
        return sum(sum(entry.values()) for entry in entries if entry)

    def single(self, name: str) -> float:
        if name not in self.extra:
            raise Missing(f"no {name}")
        return self.extra[name]


def verdicts(run: Run) -> list[Verdict]:
    return [*_all(run), *(_pairs(run) if PLAIN in run.rounds else ())]


def _pairs(run: Run) -> list[Verdict]:
    """What one plugin costs, from ten rounds or more of `--targets routeiq,routeiq-plain --scenarios S1-c16,S2-c16`."""
    rows = (("S1-c16 CPU per request", 1.05, ("S1-c16", "cpu_us")), ("S2-c16 CPU per chunk", 1.03, ("S2-c16", "chunk_us")))
    return [_pair(f"{what}, × without resilience, median", limit, run, keys) for what, limit, keys in rows]


def _pair(what: str, limit: float, run: Run, keys: Sequence[str]) -> Verdict:
    try:
        middle, low, high = run.paired("routeiq", PLAIN, *keys)
    except Missing as error:
        return Verdict(what, f"≤ {limit:g}", str(error), False)
    return Verdict(what, f"≤ {limit:g}", f"{middle:.3f} ({low:.3f}–{high:.3f})", middle <= limit)


def _all(run: Run) -> list[Verdict]:
    ratio, best = run.ratio, run.best
    return [
        _at_most("S1-c16 CPU per request, RAW, × bare", 1.25, lambda: ratio("routeiq", "bare", "S1-c16", "cpu_us")),
        _at_least("S1-c16 CPU per request, LiteLLM × ours", 15, lambda: ratio("litellm", "routeiq", "S1-c16", "cpu_us")),
        _at_most("S2-c16 CPU per chunk, RAW, × bare", 1.3, lambda: ratio("routeiq", "bare", "S2-c16", "chunk_us")),
        _at_most("S3-50 CPU per chunk, RAW, × bare", 1.3, lambda: ratio("routeiq", "bare", "S3-50", "chunk_us")),
        _at_most("S2-c16 CPU per chunk, EVENTS, × bare", 2, lambda: ratio("routeiq-events", "bare", "S2-c16", "chunk_us")),
        _at_most("S3-50 CPU per chunk, EVENTS, × bare", 2, lambda: ratio("routeiq-events", "bare", "S3-50", "chunk_us")),
        _at_most("S1-c16 CPU per request, crossed, × bare", 2, lambda: ratio("routeiq-cross", "bare", "S1-c16", "cpu_us")),
        _at_most("S2-c16 CPU per chunk, crossed, × bare", 2.5, lambda: ratio("routeiq-cross", "bare", "S2-c16", "chunk_us")),
        _at_most("S3-50 CPU per chunk, crossed, × bare", 2.5, lambda: ratio("routeiq-cross", "bare", "S3-50", "chunk_us")),
        _at_most("1 MB prompt converted, worst pair of formats, ms", 25, lambda: run.single("convert_ms")),
        _at_most("S3-500 errors", 0, lambda: run.errors("routeiq", "S3-500")),
        _at_most("S4 CPU per request, × bare", 1.3, lambda: ratio("routeiq", "bare", "S4", "cpu_us")),
        _at_least("S5 upstreams closed, of 20", 20, lambda: best("routeiq", "S5", "closed")),
        _at_most(
            "S5 slowest close, ms over bare's",
            100,
            lambda: best("routeiq", "S5", "close_ms", "max") - best("bare", "S5", "close_ms", "max"),
        ),
        _at_most("20 plugins without opinion, µs per request", 40, lambda: run.single("twenty_plugins_us")),
        _at_most("ready to serve, × bare", 1.5, lambda: ratio("routeiq", "bare", "ready_s")),
        _at_most("idle RSS of parent and worker, MB", 110, lambda: best("routeiq", "idle_mb")),
        _at_most("kernel plugins list, CPU s over python -c pass", 0.25, lambda: run.single("plugins_list_s")),
        _at_most("/_health/live p99 during S3-500 and a stall, ms", 100, lambda: best("routeiq", "live", "live_ms", "p99")),
        _at_most(
            "--server uvicorn, S1-c16 CPU per request, × ours on hypercorn",
            0.8,
            lambda: ratio("routeiq-uvicorn", "routeiq", "S1-c16", "cpu_us"),
        ),
    ]


def table(found: Sequence[Verdict]) -> str:
    width = max(len(verdict.what) for verdict in found)
    lines = [
        f"{verdict.what:{width}}  {verdict.limit:>8}  {verdict.measured:>24}  {'pass' if verdict.passed else 'FAIL'}" for verdict in found
    ]
    return "\n".join([f"{'what':{width}}  {'limit':>8}  {'measured':>24}", *lines])


def _at_most(what: str, limit: float, measure: Callable[[], float]) -> Verdict:
    return _verdict(what, f"≤ {limit:g}", measure, lambda value: value <= limit)


def _at_least(what: str, limit: float, measure: Callable[[], float]) -> Verdict:
    return _verdict(what, f"≥ {limit:g}", measure, lambda value: value >= limit)


def _verdict(what: str, limit: str, measure: Callable[[], float], holds: Callable[[float], bool]) -> Verdict:
    """A figure that is missing fails."""
    try:
        value = measure()
    except Missing as error:
        return Verdict(what, limit, str(error), False)
    return Verdict(what, limit, f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}", holds(value))


def _dig(entry: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    return entry
