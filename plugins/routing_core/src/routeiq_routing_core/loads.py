"""Rankings by what a deployment does now: attempts that run, what its minute has used, and its price. The lowest score is best, and
equal ones keep the order of the draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import astuple
from routeiq_sdk import Attempt, Deployment, Request, RequestContext
from routeiq_sdk.stream import UsageParts

from .ranking import Draw, Ranked, Sources
from .running import Running
from .tally import Row, Tally

LIMITS = ("tpm", "rpm")
MILLION = 1_000_000
BLEND = UsageParts(input=3 * MILLION // 4, output=MILLION // 4)
"""Of a million tokens three in four are read, as in published blended prices."""

KEPT = 10_000
"""Deployments whose prices are at hand; reloads may bring new ones."""


class LeastBusy:
    def __init__(self, draw: Draw, running: Running) -> None:
        self._draw, self._running = draw, running

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        counts = {each.id: float(self._running.count(each)) for each in alike}
        order = sorted(self._draw(alike), key=lambda each: counts[each.id])
        return Ranked(order, f"with {counts[order[0].id]:.0f} of {sum(counts.values()):.0f} in flight", counts)


class Minute(Struct):
    """What one deployment was asked for and gave in the current minute."""

    requests: float = 0
    finished: float = 0
    tokens: float = 0

    def expected_tokens(self) -> float:
        """With those of the requests that still run, taken to need what the finished ones needed."""
        return self.tokens * max(1.0, self.requests / self.finished) if self.finished else 0.0


class Usage:
    """By the used share of `tpm` and `rpm`, whichever is larger. A deployment that declares neither is taken to have the largest
    that others declare; where nobody does, the tokens and requests themselves are compared. What other workers told counts as well,
    to the end of the minute even if they are gone."""

    def __init__(self, draw: Draw, sources: Sources) -> None:
        self._draw, self._sources = draw, sources
        self._minute = -1
        self._used: dict[str, Minute]
        self._tally: Tally

    def _now(self) -> dict[str, Minute]:
        minute = int(self._sources.clock.time() // 60)
        if minute != self._minute:
            self._minute, self._used = minute, {}
            self._tally = Tally(f"minute {minute}", len(Minute.__struct_fields__), None)
        return self._used

    def news(self, again: bool) -> Iterable[Row]:
        own = {id: astuple(used) for id, used in self._now().items()}
        return self._tally.news(own, again)

    def hear(self, sender: str, row: Row) -> None:
        """Of another minute is what comes late, or from a clock that is ahead: it counts not at all, or once it is said again."""
        self._now()
        self._tally.hear(sender, row)

    def began(self, deployment: Deployment, rc: RequestContext) -> None:
        self._now().setdefault(deployment.id, Minute()).requests += 1

    def ended(self, attempt: Attempt, rc: RequestContext) -> None:
        used = self._now().setdefault(attempt.deployment.id, Minute())
        used.finished += 1
        used.tokens += attempt.usage.total() if attempt.usage else 0

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        limits = {each.id: declared(each) for each in alike}
        largest = {name: max([own.get(name, 0) for own in limits.values()]) for name in LIMITS}
        largest = {name: limit for name, limit in largest.items() if limit}
        shares = {each.id: self._share(each, limits[each.id] or largest) for each in alike}
        over = {id for id, own in limits.items() if own and shares[id] >= 1}
        order = sorted(self._draw(alike), key=lambda each: (each.id in over, shares[each.id]))
        least = shares[order[0].id]
        said = f"{100 * least:.1f} % of its minute" if largest else f"{least:.0f} tokens or requests in this minute"
        return Ranked(order, f"with {said} used" + (f", {len(over)} over the limit" if over else ""), shares)

    def _share(self, deployment: Deployment, limits: Mapping[str, int]) -> float:
        used = self._now().get(deployment.id) or Minute()
        if others := self._tally.others.get(deployment.id):
            requests, finished, tokens = others
            used = Minute(used.requests + requests, used.finished + finished, used.tokens + tokens)
        spent = {"tpm": used.expected_tokens(), "rpm": float(used.requests)}
        return max([spent[name] / limit for name, limit in limits.items()] if limits else spent.values())


def declared(deployment: Deployment) -> dict[str, int]:
    return {name: limit for name in LIMITS if (limit := getattr(deployment, name))}


class Cost:
    """By the price of a million tokens, `BLEND`. An unknown price comes last."""

    def __init__(self, draw: Draw, sources: Sources) -> None:
        self._draw, self._sources = draw, sources
        self._prices: dict[str, tuple[Deployment, float | None]] = {}

    def _price(self, deployment: Deployment) -> float | None:
        known = self._prices.get(deployment.id)
        if known is None or known[0] is not deployment:
            if len(self._prices) >= KEPT:
                self._prices.clear()
            book = self._sources.book
            usd = book.cost(deployment, BLEND).usd if book else None
            known = self._prices[deployment.id] = deployment, None if usd is None else float(usd)
        return known[1]

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        prices = {each.id: price for each in alike if (price := self._price(each)) is not None}
        order = sorted(self._draw(alike), key=lambda each: (each.id not in prices, prices.get(each.id)))
        best = prices.get(order[0].id)
        said = "by chance, no price is known" if best is None else f"at ${best:.4g} for a million tokens"
        return Ranked(order, said, prices)
