"""LiteLLM's settings of retries, fallbacks and cooldowns, under its own keys, and what is ours beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from attrs import frozen
from msgspec import Meta
from routeiq_sdk import ConfigError, setting

from .taxonomy import CLASSES

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Mode = Literal["continue", "restart", "error", "buffer"]
Chains = tuple[dict[str, tuple[str, ...]], ...]
RETRIES, FAILS = "Retries", "AllowedFails"
ANY = "*"


@frozen
class Config:
    num_retries: Count = setting(
        2, key="router_settings.num_retries litellm_settings.num_retries router_settings.max_retries",
        help="further attempts at a model whose errors may pass; `max_retries` of a deployment overrides it",
    )  # fmt: skip
    retry_policy: dict[str, Count] = setting({}, key="router_settings.retry_policy", help="the same by class: RateLimitErrorRetries, …")
    model_group_retry_policy: dict[str, dict[str, Count]] = setting(
        {}, key="router_settings.model_group_retry_policy", help="a retry_policy for each model"
    )
    retry_after: Seconds = setting(
        0.0, key="router_settings.retry_after litellm_settings.retry_after", help="seconds to wait before a retry, at least"
    )
    max_retry_after_s: Seconds = setting(10.0, help="a provider's Retry-After beyond this is not waited for")
    fallbacks: Chains = setting((), key="router_settings.fallbacks litellm_settings.fallbacks", help="model → models to go to; * is any")
    context_window_fallbacks: Chains = setting(
        (), key="router_settings.context_window_fallbacks litellm_settings.context_window_fallbacks", help="when the context is too long"
    )
    content_policy_fallbacks: Chains = setting(
        (), key="router_settings.content_policy_fallbacks litellm_settings.content_policy_fallbacks",
        help="when the provider's policy refuses; without an entry its refusal is final",
    )  # fmt: skip
    default_fallbacks: tuple[str, ...] = setting(
        (), key="router_settings.default_fallbacks litellm_settings.default_fallbacks", help="of models that `fallbacks` does not name"
    )
    max_fallbacks: Count = setting(5, key="router_settings.max_fallbacks litellm_settings.max_fallbacks", help="of one request")
    rescue: dict[str, Mode] = setting(
        {}, help="model, or *, → what becomes of a stream that breaks: continue, restart, error or buffer (hold it back until whole)"
    )
    hedge_after_s: dict[str, Annotated[float, Meta(gt=0)]] = setting(
        {}, help="model, or *, → ask a second deployment too when the first has no content after so long"
    )
    first_content_s: dict[str, Annotated[float, Meta(gt=0)]] = setting(
        {}, help="model, or *, → how long a stream may take to its first content; unset: 10, or three times the deployment's p99"
    )
    allowed_fails: Count | None = setting(
        None, key="router_settings.allowed_fails litellm_settings.allowed_fails",
        help="failures a minute before a deployment cools down; unset: three in a row, or half of ten",
    )  # fmt: skip
    allowed_fails_policy: dict[str, Count] = setting(
        {}, key="router_settings.allowed_fails_policy", help="the same by class: RateLimitErrorAllowedFails, …"
    )
    cooldown_time: Seconds = setting(
        2.0, key="router_settings.cooldown_time litellm_settings.cooldown_time",
        help="seconds of the first cooldown; a probe that fails doubles them",
    )  # fmt: skip
    max_cooldown_s: Seconds | None = setting(None, help="it grows up to this; unset: five times the first, at most 10")
    disable_cooldowns: bool = setting(False, key="router_settings.disable_cooldowns", help="every deployment stays in use")
    panic_share: Share = setting(0.2, help="with a smaller share of healthy deployments all of a model's are used")
    retry_share: Annotated[float, Meta(ge=0)] = setting(0.2, help="retries for each request, over all requests of a worker")
    retries_per_s: Annotated[float, Meta(ge=0)] = setting(10.0, help="retries that are always allowed")
    background_health_checks: bool = setting(
        False, key="general_settings.background_health_checks", help="ask every deployment in each interval whether it answers"
    )
    health_check_interval: Annotated[float, Meta(gt=0)] = setting(
        300.0, key="general_settings.health_check_interval", help="seconds between two checks of a deployment"
    )
    health_check_concurrency: Annotated[int, Meta(ge=1)] = setting(
        4, key="general_settings.health_check_concurrency", help="checks at the same time"
    )
    health_check_timeout_s: Annotated[float, Meta(gt=0)] = setting(
        60.0, env="HEALTH_CHECK_TIMEOUT_SECONDS", help="of one check; `model_info.health_check_timeout` of a deployment overrides it"
    )
    background_health_check_model_groups: tuple[str, ...] = setting(
        (), key="general_settings.background_health_check_model_groups", help="models whose deployments are checked; unset: all"
    )
    health_check_ignore_transient_errors: bool = setting(
        False, key="general_settings.health_check_ignore_transient_errors", help="a check's 429 or 408 changes nothing"
    )
    seed: int | None = setting(None, help="draw the same waits every time, to replay a run; unset draws at random")

    def __attrs_post_init__(self) -> None:
        classes = sorted(set(CLASSES.values()))
        problems = list(_unknown("retry_policy", self.retry_policy, [each + RETRIES for each in classes]))
        for group, policy in self.model_group_retry_policy.items():
            problems += _unknown(f"model_group_retry_policy.{group}", policy, [each + RETRIES for each in classes])
        problems += _unknown("allowed_fails_policy", self.allowed_fails_policy, [each + FAILS for each in classes])
        if problems:
            raise ConfigError(*problems)

    @property
    def longest_cooldown_s(self) -> float:
        usual_s = min(5 * self.cooldown_time, 10.0)
        return max(self.cooldown_time, usual_s if self.max_cooldown_s is None else self.max_cooldown_s)

    def retries(self, kind: str, group: str) -> int | None:
        """What a policy allows for errors of this kind; None where none speaks of them."""
        name = CLASSES.get(kind, "") + RETRIES
        return self.model_group_retry_policy.get(group, self.retry_policy).get(name)

    def check(self, known: Iterable[str], matches: Iterable[str]) -> None:
        """Raises `ConfigError` for models that are none. `known` are all groups, `matches` the names here that one of them serves."""
        groups, good = list(known), {ANY, *matches}
        problems = []
        for where, names in self.models().items():
            problems += [f"resilience: {where}: there is no model {name!r}{_near(name, groups)}" for name in names if name not in good]
        if problems:
            raise ConfigError(*dict.fromkeys(problems))

    def models(self) -> Mapping[str, list[str]]:
        """Setting → the models that it names."""
        chains = {name: getattr(self, name) for name in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")}
        named = {name: [each for entry in found for model, to in entry.items() for each in (model, *to)] for name, found in chains.items()}
        maps = ("rescue", "hedge_after_s", "first_content_s", "model_group_retry_policy")
        lists = ("default_fallbacks", "background_health_check_model_groups")
        return {**named, **{name: [*getattr(self, name)] for name in (*lists, *maps)}}


def _unknown(where: str, names: Iterable[str], known: list[str]) -> Iterable[str]:
    return [f"plugins.resilience.{where}.{name}: unknown key{_near(name, known)}" for name in names if name not in known]


def _near(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""
