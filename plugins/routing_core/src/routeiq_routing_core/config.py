"""The plugin's settings. LiteLLM's keys of the router come first; those below them are ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta
from routeiq_sdk import ConfigError, setting

STRATEGY = "kernel.routing_strategy router_settings.routing_strategy"
LATENCY = "latency-based-routing"
ARGS = {"ttl": 600.0, "lowest_latency_buffer": 0.0}
"""LiteLLM's arguments that have a meaning here, all of them of `LATENCY`, with their defaults."""
CACHING, SESSIONS = "prompt_caching", "session_affinity"
DONE_ELSEWHERE = "responses_api_deployment_check"
"""The kernel does that for every strategy."""
Factor = Annotated[float, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]


@frozen
class Config:
    strategy: str = setting("simple-shuffle", key=STRATEGY, help="the strategy that the kernel uses; leave it to LiteLLM's key")
    strategy_args: dict[str, Any] = setting(
        {}, key="router_settings.routing_strategy_args", help="of its arguments: ttl, lowest_latency_buffer"
    )
    checks: tuple[str, ...] = setting(
        (), key="router_settings.optional_pre_call_checks", help="prompt_caching, session_affinity: on top of the strategy"
    )
    seed: int | None = setting(None, help="draw the same order every time, to replay a run; unset draws at random")
    load_factor: Factor = setting(
        1.25, help="cache affinity: most of the mean load that a deployment carries before others get its requests"
    )
    cache_entries: Count = setting(50_000, help="cache affinity: prefixes that are remembered")
    cache_life_s: dict[str, Seconds] = setting({}, help="cache affinity: provider → how long it keeps a prefix that nobody marked")

    def __attrs_post_init__(self) -> None:
        bad = [name for name in ARGS if self.strategy == LATENCY and not _is_length(self.strategy_args.get(name, 0))]
        if bad:
            raise ConfigError(*[f"router_settings.routing_strategy_args.{name}: expected a number that is not negative" for name in bad])

    def arg(self, name: str) -> float:
        return float(self.strategy_args.get(name, ARGS[name])) if self.strategy == LATENCY else ARGS[name]

    def unused(self, known: Iterable[str]) -> list[str]:
        """What is set and has no effect."""
        if self.strategy not in known:
            return [f"router_settings.optional_pre_call_checks: no effect on {self.strategy}"] if self.checks else []
        args = [name for name in self.strategy_args if self.strategy != LATENCY or name not in ARGS]
        checks = [name for name in self.checks if name not in (CACHING, SESSIONS, DONE_ELSEWHERE)]
        found = {"routing_strategy_args": args, "optional_pre_call_checks": checks}
        return [f"router_settings.{key}: {', '.join(names)} has no effect" for key, names in found.items() if names]


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
