"""What is counted of requests. Rows travel between workers as JSON, costs as exact decimal text, and are added up by whoever asks."""

from __future__ import annotations

from decimal import Context, Decimal
from math import ceil, log, sqrt
from typing import Any

from msgspec import Struct, convert, field, to_builtins
from routeiq_sdk import Outcome

EXACT = Context(prec=64)
LEAST_S, RATIO, BUCKETS = 0.001, 1.1, 160
"""Durations fall into buckets whose ends are 10 % apart, from a millisecond to an hour; what is told of one is its middle."""
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Spread(Struct):
    """How long things took."""

    count: int = 0
    seconds: float = 0.0
    buckets: dict[int, int] = {}

    def take(self, seconds: float) -> None:
        bucket = min(max(0, ceil(log(max(seconds, LEAST_S) / LEAST_S, RATIO))), BUCKETS)
        self.count += 1
        self.seconds += seconds
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def add(self, other: Spread) -> None:
        self.count += other.count
        self.seconds += other.seconds
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def told(self) -> dict[str, float | None]:
        """In milliseconds; None where nothing was measured."""
        mean = self.seconds / self.count * 1000 if self.count else None
        return {"mean": mean and round(mean, 3), **{name: self._percentile(share) for name, share in PERCENTILES.items()}}

    def _percentile(self, share: float) -> float | None:
        rank, passed = ceil(self.count * share), 0
        for bucket in sorted(self.buckets):
            passed += self.buckets[bucket]
            if passed >= rank:
                return round(LEAST_S * RATIO**bucket / sqrt(RATIO) * 1000, 3)
        return None


class Row(Struct):
    """`errors` are answers that failed or broke off; `cancelled`: the client left; `denied`: refused by the gateway. `unknown_cost`
    requests are not in `cost`, `estimated_cost` ones are. `unknown_usage`: a provider answered and nobody counted its tokens."""

    requests: int = 0
    attempts: int = 0
    errors: int = 0
    cancelled: int = 0
    denied: int = 0
    unknown_cost: int = 0
    estimated_cost: int = 0
    unknown_usage: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    cost: Decimal = Decimal(0)
    latency: Spread = field(default_factory=Spread)
    """Of complete answers, from the arrival of the request to the last byte."""
    first_token: Spread = field(default_factory=Spread)

    def take(self, outcome: Outcome, unknown: bool) -> None:
        """One more request. `unknown`: its cost is."""
        self.requests += 1
        self.attempts += len(outcome.attempts)
        status, usage, cost, first_s = outcome.status, outcome.usage, outcome.cost, outcome.first_token_s
        if status == "complete":
            self.latency.take(outcome.duration_s)
        else:
            self.errors += status in ("error", "truncated")
            self.cancelled += status == "cancelled"
            self.denied += status == "denied"
        if usage is not None:
            self.input += usage.input or 0
            self.cache_read += usage.cache_read or 0
            self.cache_write += (usage.cache_write or 0) + (usage.cache_write_1h or 0)
            self.output += usage.output or 0
            self.reasoning += usage.reasoning or 0
        self.unknown_cost += unknown
        if cost is not None and cost.usd is not None:
            self.cost = EXACT.add(self.cost, cost.usd)
            self.estimated_cost += cost.estimated
        if first_s is not None:
            self.first_token.take(first_s)
            self.unknown_usage += usage is None

    def add(self, other: Row) -> None:
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cost = EXACT.add(self.cost, other.cost)
        self.latency.add(other.latency)
        self.first_token.add(other.first_token)

    def packed(self) -> Any:
        return to_builtins(self, str_keys=True)

    @classmethod
    def unpacked(cls, value: Any) -> Row:
        return convert(value, cls, str_keys=True, strict=False)

    def told(self) -> dict[str, Any]:
        tokens = {name: getattr(self, name) for name in TOKENS}
        return {
            **{name: getattr(self, name) for name in COUNTED if name not in TOKENS},
            "cost_usd": f"{self.cost:f}",
            "tokens": {**tokens, "total": sum(tokens.values())},
            "latency_ms": self.latency.told(),
            "first_token_ms": self.first_token.told(),
        }


TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")
COUNTED = tuple([name for name in Row.__struct_fields__ if name not in ("cost", "latency", "first_token")])


def is_unknown(outcome: Outcome, priced: bool) -> bool:
    """Whether it is not known what a request cost. `priced`: there is a price book, so that no cost means that nothing was to be paid."""
    if outcome.cost is not None:
        return outcome.cost.usd is None
    return not priced and outcome.first_token_s is not None
