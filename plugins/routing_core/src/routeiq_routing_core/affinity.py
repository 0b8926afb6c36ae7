"""Prompt-cache affinity: a prompt goes where the longest beginning of it was last sent, as long as the provider's cache lives, and
as long as that deployment carries not much more than its part of the load: consistent hashing with bounded loads (Mirrokni,
Thorup and Zadimoghaddam 2018), here on top of any ranking."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import ceil

from msgspec import Struct
from routeiq_sdk import Attempt, Deployment, Request, RequestContext

from .prefix import Point, points
from .ranking import Ranked, Ranking, Sources
from .running import Running, memo
from .sticky import rendezvous

LIFE_S: Mapping[str, float] = {
    "anthropic": 0, "openai": 600, "azure": 600, "azure_ai": 600, "gemini": 300, "vertex_ai": 300, "deepseek": 3600, "groq": 7200,
}  # fmt: skip
"""How long a provider keeps a prefix that nobody marked, since it was last used. Anthropic keeps none."""
OTHER_LIFE_S = 300


class Home(Struct, frozen=True):
    deployment: str
    until_s: float


class Homes:
    """Prefix → the deployment whose cache has it. It stays there while that lives, and moves when the deployment fails or is no
    candidate. The least recently used of more than `limit` are forgotten."""

    def __init__(self, sources: Sources, limit: int, life_s: Mapping[str, float]) -> None:
        self._sources, self._limit, self._life_s = sources, limit, {**LIFE_S, **life_s}
        self._homes: OrderedDict[bytes, Home] = OrderedDict()

    def __len__(self) -> int:
        return len(self._homes)

    def began(self, deployment: Deployment, rc: RequestContext) -> None:
        self._keep(deployment, rc)

    def ended(self, attempt: Attempt, rc: RequestContext) -> None:
        """The cache's life begins again, or there is none where the provider failed before it answered."""
        if attempt.first_token_s is not None:
            return self._keep(attempt.deployment, rc)
        for point in memo(rc).points if attempt.outcome == "error" else ():
            home = self._homes.get(point.digest)
            if home is not None and home.deployment == attempt.deployment.id:
                del self._homes[point.digest]

    def _keep(self, deployment: Deployment, rc: RequestContext) -> None:
        now = self._sources.clock.monotonic()
        for point in memo(rc).points:
            home = self._homes.get(point.digest) if point.kept else None
            life_s = self._life_s.get(deployment.provider, OTHER_LIFE_S) if point.ttl_s is None else point.ttl_s
            if point.kept and life_s > 0 and (home is None or home.until_s <= now or home.deployment == deployment.id):
                self._homes[point.digest] = Home(deployment.id, now + life_s)
                self._homes.move_to_end(point.digest)
        while len(self._homes) > self._limit:
            self._homes.popitem(last=False)

    def find(self, known: Sequence[Point], alike: Sequence[Deployment]) -> tuple[Deployment, Point] | None:
        """Where the longest beginning is that one of these deployments has."""
        now, by_id = self._sources.clock.monotonic(), {each.id: each for each in alike}
        for point in reversed(known):
            home = self._homes.get(point.digest)
            if home is None or home.until_s <= now:
                continue
            if home.deployment in by_id:
                return by_id[home.deployment], point
            del self._homes[point.digest]
        return None


class Affinity:
    """`alone`: new prefixes are placed by rendezvous hashing, so that all workers and replicas agree; else by `base`, which also
    places what has no prefix that a cache could hold."""

    def __init__(self, base: Ranking, homes: Homes, running: Running, factor: float, alone: bool) -> None:
        self._base, self._homes, self._running, self._factor, self._alone = base, homes, running, factor, alone

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        mine = memo(rc)
        if mine.asked is not request:
            mine.asked, mine.points = request, points(request)
        known = mine.points
        found = self._homes.find(known, alike)
        if known and self._alone:
            base = Ranked(rendezvous(alike, known[0].digest), "by a new prefix")
        else:
            base = self._base.rank(alike, request, rc)
        if not known or (found is None and not self._alone):
            return base
        loads = {each.id: float(self._running.count(each)) for each in alike}
        bound = bounded(list(loads.values()), self._factor)
        home, reason = base.order[0], base.reason
        if found is not None:
            home, reason = found[0], f"by a prefix of {found[1].messages} messages"
        if loads[home.id] >= bound:
            reason += f", spilled: {loads[home.id]:.0f} of {bound} in flight"
        order = sorted(base.order, key=lambda each: (loads[each.id] >= bound, each is not home))
        return Ranked(order, reason, loads)


def bounded(loads: Sequence[float], factor: float) -> int:
    """How much one of these may carry once it has the request to be placed: so many times the mean, rounded up."""
    return ceil(factor * (sum(loads) + 1) / len(loads))
