"""Rules made ready to be asked. `unmet` says why one does not apply; what is cheap to find out is asked first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from routeiq_sdk import Deployment

from .agents import named, several
from .config import Rule
from .facts import Facts
from .patterns import Globs, compile_pattern

REGIONS = ("region", "region_name", "aws_region_name", "vertex_location", "vertex_ai_location")


class Ready:
    """One rule."""

    def __init__(self, rule: Rule) -> None:
        when = rule.when
        self.rule = rule
        self.min_tokens, self.max_tokens = when.min_tokens, when.max_tokens
        self._agents = frozenset(named(agent) or agent for agent in several(when.agent))
        self._tiers = frozenset(several(when.tier))
        self._has = frozenset(when.has)
        globs = {name: several(getattr(when, name)) for name in ("operation", "model", "user_agent", "region", "tag")}
        self._like = {name: Globs(patterns) for name, patterns in globs.items() if patterns}
        self._tag = self._like.pop("tag", None)
        self._is_for_chats = not when.operation and (rule.model is not None or rule.fallbacks is not None)
        self._pattern: Any = None if when.last_message is None else compile_pattern(when.last_message)
        only = rule.only
        self._only = {name: Globs(several(getattr(only, name))) for name in ("region", "provider", "tag") if getattr(only, name)}

    def unmet(self, facts: Facts) -> str | None:
        """None: everything holds, but for the number of tokens."""
        if self._is_for_chats and facts.is_forwarded:
            return "operation is another"
        if self._agents and facts.agent not in self._agents:
            return f"agent is {facts.agent or 'unknown'}"
        if self._tiers and not self._tiers & facts.tiers:
            return f"tier is {'+'.join(sorted(facts.tiers)) or 'unknown'}"
        for name, like in self._like.items():
            text = getattr(facts, name)
            if not text or not like(text):
                return f"{name} is another"
        if self._tag and not any(map(self._tag, facts.tags)):
            return "no such tag"
        if not facts.is_read and (self._has or self._pattern is not None or self.counts):
            return "what is sent is not read"
        if missing := self._has and self._has - facts.has:
            return f"no {' and no '.join(sorted(missing))}"
        if self._pattern is not None and self._pattern.search(facts.last_message) is None:
            return "last_message does not match"
        if self.min_tokens is not None and facts.surely_below(self.min_tokens):
            return f"fewer than {self.min_tokens} tokens"
        return None

    @property
    def counts(self) -> bool:
        return self.min_tokens is not None or self.max_tokens is not None

    def out_of_bounds(self, tokens: int) -> str | None:
        if self.min_tokens is not None and tokens < self.min_tokens:
            return f"{tokens} tokens are fewer than {self.min_tokens}"
        if self.max_tokens is not None and tokens > self.max_tokens:
            return f"{tokens} tokens are more than {self.max_tokens}"
        return None

    def refused(self, deployment: Deployment) -> str | None:
        """Why the rule does not let this deployment be used."""
        for name, like in self._only.items():
            values = OF[name](deployment)
            if not any(map(like, values)):
                return f"rule {self.rule.name}: {name} is {'+'.join(values) or 'unknown'}"
        return None

    @property
    def restricts(self) -> bool:
        return bool(self._only)


def _regions(deployment: Deployment) -> list[str]:
    settings = (deployment.info, deployment.params)
    return [str(section[name]) for section in settings for name in REGIONS if section.get(name)]


def _tags(deployment: Deployment) -> list[str]:
    lists = [section.get("tags") or () for section in (deployment.info, deployment.params)]
    return [str(tag) for tags in lists for tag in (tags if isinstance(tags, list | tuple) else (tags,))]


OF: Mapping[str, Callable[[Deployment], list[str]]] = {
    "region": _regions,
    "provider": lambda deployment: [deployment.provider],
    "tag": _tags,
}
"""What `only` looks at, in `model_info` and in `litellm_params`."""
