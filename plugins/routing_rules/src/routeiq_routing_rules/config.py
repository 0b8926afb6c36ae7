"""The rules as the configuration has them. What is wrong with one says its name, its path and the nearest known word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from attrs import field, frozen
from routeiq_sdk import ConfigError, setting

from .agents import Agent, several
from .patterns import compile_pattern

Several = str | tuple[str, ...]
Modality = Literal["images", "audio", "video", "documents", "tools"]
RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
PATH = "plugins.routing_rules"

TIERS: Mapping[str, tuple[str, ...]] = {
    "opus": ("*opus*",),
    "sonnet": ("*sonnet*",),
    "haiku": ("*haiku*",),
    "gpt-4": ("gpt-4*",),
    "gpt-3.5": ("gpt-3.5*",),
    "deepseek": ("*deepseek*",),
    "large": (
        "*opus*", "*large*", "*-pro", "*-pro-*", "gpt-5*", "gpt-4*", "o1*", "o3*", "grok-*", "deepseek-r*", "*-70b*", "*-405b*",
        "!*-mini*", "!*-nano*", "!*-lite*", "!*-small*", "!*-fast*", "!*flash*",
    ),
    "medium": ("*sonnet*", "*medium*"),
    "small": ("*haiku*", "*-mini*", "*-nano*", "*-lite*", "*-small*", "*flash*", "*-8b*", "*-7b*", "*-3b*", "*-1b*", "gpt-3.5*"),
}  # fmt: skip
"""Tier → patterns of model names, without a provider's prefix; `!` takes names out again."""


@frozen
class When:
    """All that is given must hold; of several values, one."""

    agent: Several = setting((), help="type of agent, such as claude-code or codex")
    tier: Several = setting((), help="tier of the requested model")
    model: Several = setting((), help="the requested model; * stands for any text")
    tag: Several = setting((), help="one of the request's tags; * stands for any text")
    last_message: str | None = setting(None, help="regular expression (RE2) that is found in the last text of the user")
    user_agent: Several = setting((), help="the User-Agent, in any case; * stands for any text")
    min_tokens: int | None = setting(None, help="at least so many tokens of input")
    max_tokens: int | None = setting(None, help="at most so many tokens of input")
    has: tuple[Modality, ...] = setting((), help="all of these are in the request")
    region: Several = setting((), help="the region that the request asks for; * stands for any text")
    operation: Several = setting((), help="what is asked for; unset: chats, and for a rule that names no model everything")

    def __attrs_post_init__(self) -> None:
        if self.last_message is not None:
            compile_pattern(self.last_message)
        if self.min_tokens is not None and self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"'min_tokens' is more than max_tokens ({self.max_tokens})")


@frozen
class Only:
    """Which deployments may be used, those of fallbacks too. All that is given must hold; of several values, one."""

    region: Several = setting((), help="the deployment's region; * stands for any text")
    provider: Several = setting((), help="its provider")
    tag: Several = setting((), help="one of its tags")


@frozen
class Rule:
    name: str = field()
    when: When = When()
    model: str | None = setting(None, help="the model group to use; unset: the one that was asked for")
    fallbacks: tuple[str, ...] | None = setting(None, help="model groups to fall back to, in this order, instead of the configured ones")
    only: Only = Only()

    @name.validator
    def _speakable(self, attribute: object, value: str) -> None:
        if not RULE_NAME.fullmatch(value):
            raise ValueError("'name' is letters, digits, blanks and ._- only: it stands in a header", attribute)


@frozen
class Config:
    rules: tuple[Rule, ...] = setting((), help="the first whose conditions hold decides")
    tiers: Mapping[str, tuple[str, ...]] = setting({}, help="more tiers, or other patterns for a known one")
    agents: Mapping[str, Agent] = setting({}, help="more agents, or other marks of a known one")
    aliases: Mapping[str, Any] = setting({}, key="router_settings.model_group_alias", help="more names that rules may use")
    explain: bool = setting(False, help="answers say in x-routeiq-rules why the rules before did not apply")

    def __attrs_post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise ConfigError(*problems)

    def _problems(self) -> Iterator[str]:
        names = [rule.name for rule in self.rules]
        known = {**TIERS, **self.tiers}
        for index, rule in enumerate(self.rules):
            where = f"{PATH}.rules.{index}"
            if rule.name in names[:index]:
                yield f"{where}.name: {rule.name!r} is the name of two rules"
            if rule.when == When() and index < len(names) - 1:
                yield f"{where}: rule {rule.name!r} has no conditions, so no rule after it is ever reached; put it last"
            for tier in several(rule.when.tier):
                if tier not in known:
                    yield f"{where}.when.tier: rule {rule.name!r}: no tier is called {tier!r}{nearest(tier, known)}"

    def missing(self, exists: Callable[[str], bool], groups: tuple[str, ...]) -> Iterator[str]:
        """Model groups of the rules that do not exist."""
        for index, rule in enumerate(self.rules):
            named = {"model": rule.model} | {f"fallbacks.{place}": name for place, name in enumerate(rule.fallbacks or ())}
            for key, name in named.items():
                if name is not None and not exists(name):
                    yield f"{PATH}.rules.{index}.{key}: rule {rule.name!r}: no model is called {name!r}{nearest(name, groups)}"


def nearest(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    close = get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
