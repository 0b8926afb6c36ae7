"""From what the operator asked for to an ordered set of manifests: discover, select and order in one step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from attrs import frozen
from routeiq_sdk import GraphError, Manifest

from .discover import Found, Installed, development, installed, manifest
from .order import Order, order
from .select import DEFAULT, Expression, is_path, nearest, select


@frozen
class Chosen:
    """`found` holds everything installed and the development files; `manifests` those of the enabled plugins."""

    order: Order
    manifests: Mapping[str, Manifest]
    found: Mapping[str, Found]
    reasons: Mapping[str, str]
    notes: tuple[str, ...]


def choose(
    expression: Expression,
    disabled: Expression = (),
    mode: str = "development",
    *,
    configured: Expression = DEFAULT,
    listing: Installed | None = None,
) -> Chosen:
    """Raises `GraphError` with all problems of the step that fails."""
    listing = installed() if listing is None else listing
    read = cache(lambda name: manifest(listing.found[name]))
    chosen = select(expression, disabled, listing.found, read, mode, configured=configured)
    ordered = order(chosen.manifests.values(), known=chosen.others, disabled=chosen.disabled)
    return Chosen(ordered, chosen.manifests, chosen.found, chosen.reasons, chosen.notes)


def pick(name: str) -> tuple[Found, Manifest]:
    """One installed plugin by name, or one development file."""
    if is_path(name):
        return development(name)
    found = installed().found
    if name not in found:
        raise GraphError(f"plugin {name} is not installed{nearest(name, found)}. See: kernel plugins list")
    return found[name], manifest(found[name])
