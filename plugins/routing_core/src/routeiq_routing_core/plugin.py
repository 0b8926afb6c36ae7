"""Builds the strategies. The kernel takes the one that `router_settings.routing_strategy` names and asks it after all `route` hooks.

Requests pay for no hook that the chosen strategy does not need: `before_upstream` and `on_attempt` become attributes of the
instance, where the kernel looks for hooks, only if somebody watches attempts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random

from routeiq_sdk import CLOCK, STATE_STORE, ConfigError, PluginContext, hookimpl
from routeiq_sdk.resources import Strategy
from routeiq_sdk.services import PEERS, PRICE_BOOK

from .affinity import Affinity, Homes
from .config import CACHING, LATENCY, SESSIONS, Config
from .latency import Latency
from .loads import Cost, LeastBusy, Usage
from .ranking import Draw, Ranking, Ranks, Sources
from .running import Running, Watcher
from .sharing import Part, shared
from .sticky import Sticky

COST, CACHE = "cost-based-routing", "prompt-cache-affinity"


class RoutingCore:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._sources = Sources()
        self._parts: tuple[Part, ...] = ()
        draw, running, sources = Draw(Random(config.seed)), Running(), self._sources
        homes = Homes(sources, config.cache_entries, config.cache_life_s)
        latency = Latency(draw, running, sources, config.arg("ttl"), config.arg("lowest_latency_buffer"))
        usage = Usage(draw, sources)
        known: dict[str, tuple[Ranking, tuple[Watcher, ...] | None]] = {
            "simple-shuffle": (draw, None),
            "least-busy": (LeastBusy(draw, running), ()),
            LATENCY: (latency, (latency,)),
            "usage-based-routing": (usage, (usage,)),
            "usage-based-routing-v2": (usage, (usage,)),
            COST: (Cost(draw, sources), None),
            "sticky-session": (Sticky(draw), None),
            CACHE: (Affinity(draw, homes, running, config.load_factor, alone=True), (homes,)),
        }
        if config.strategy in known:
            ranking, watchers = known[config.strategy]
            if SESSIONS in config.checks:
                ranking = Sticky(ranking)
            if CACHING in config.checks and config.strategy != CACHE:
                ranking = Affinity(ranking, homes, running, config.load_factor, alone=False)
                watchers = (*(watchers or ()), homes)
            known[config.strategy] = ranking, watchers
            if watchers is not None:
                running.watchers, self._parts = watchers, (running, usage, latency)
                self.before_upstream, self.on_attempt = running.before_upstream, running.on_attempt
        self._strategies = {
            name: Ranks(name, ranking, None if watchers is None else running) for name, (ranking, watchers) in known.items()
        }

    @hookimpl
    def register_strategies(self, ctx: PluginContext) -> Iterable[Strategy]:
        self._sources.clock = ctx.service(CLOCK)
        return self._strategies.values()

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._sources.book = ctx.optional(PRICE_BOOK)
        if self._config.strategy == COST and self._sources.book is None:
            raise ConfigError(f"router_settings.routing_strategy: {COST} needs a price book: enable the plugin prices")
        for line in self._config.unused(self._strategies):
            ctx.announce(line)
        async with shared(self._parts, ctx.service(PEERS), ctx.optional(STATE_STORE)):
            yield
