"""What a model takes: as its configuration (`model_info`) says, else the model catalogue, else its name."""

from __future__ import annotations

import re

from msgspec import Struct
from routeiq_sdk.resources import Deployment
from routeiq_sdk.services import ModelCard, ModelCatalog

DEFAULT_MAX_TOKENS = 4096
WHOLE_ANSWER_LIMIT = 21_333
"""Longer whole answers take over ten minutes, and the API refuses them unless they are streamed."""
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


class Target(Struct, frozen=True):
    """`adaptive`: takes adaptive thinking; `budgets`: takes a budget of thinking tokens; `sampling`: takes temperature and kin."""

    adaptive: bool
    budgets: bool
    sampling: bool
    max_tokens: int | None

    def limit(self, stream: bool) -> int:
        known = self.max_tokens or DEFAULT_MAX_TOKENS
        return known if stream else min(known, WHOLE_ANSWER_LIMIT)


def version(deployment: Deployment) -> tuple[int, int]:
    """The Claude version in the model's name; (0, 0) where there is none."""
    match = _VERSION.search(deployment.model)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def target(deployment: Deployment, catalog: ModelCatalog | None = None) -> Target:
    info, named = deployment.info, version(deployment)
    card = catalog.card(deployment) if catalog else None
    given = info.get("supports_adaptive_thinking")
    adaptive = bool(given) if given is not None else _can(card, "adaptive_thinking")
    sampling = bool(info["supports_sampling"]) if info.get("supports_sampling") is not None else _can(card, "sampling")
    most = next((n for name in ("max_output_tokens", "max_tokens") if isinstance(n := info.get(name), int)), None)
    return Target(
        adaptive=named >= (4, 6) if adaptive is None else adaptive,
        budgets=named < (4, 7) if adaptive is None or named[0] else not adaptive,
        sampling=named < (4, 7) if sampling is None else sampling,
        max_tokens=most or (card.max_output_tokens if card else None),
    )


def _can(card: ModelCard | None, ability: str) -> bool | None:
    if card is None or ability not in card.abilities | card.lacks:
        return None
    return ability in card.abilities
