"""The models of the configuration, by the names that clients use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from routeiq_sdk import Deployment

from .config import ANY, Chains

T = TypeVar("T")


def members(deployments: Sequence[Deployment], model: str) -> list[Deployment]:
    """The deployments that serve `model`: those of that name, else those of the most specific wildcard."""
    exact = [each for each in deployments if each.group == model]
    if exact:
        return exact
    groups = [each.group for each in deployments if ANY in each.group and fnmatchcase(model, each.group.replace("[", "[[]"))]
    best = max(groups, key=lambda group: len(group.replace(ANY, "")), default=None)
    return [each for each in deployments if each.group == best]


def merged(chains: Chains) -> dict[str, tuple[str, ...]]:
    """Model → models. A model that several entries name has the first one's, as in LiteLLM."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in chains:
        for model, to in entry.items():
            found.setdefault(model, to)
    return found


def named(values: Mapping[str, T], model: str, group: str) -> T | None:
    """What is set for a model by its name, by its wildcard's, or for any."""
    if not values:
        return None
    for name in (model, group, ANY):
        if name in values:
            return values[name]
    return None
