"""What `kernel plugins list` and `info` show, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import NOTHING

from ..config.explain import describe
from ..config.strict import Leaf, leaves
from .select import DEFAULT, Expression, split

if TYPE_CHECKING:
    from routeiq_sdk import Manifest

    from .discover import Found


def stated(expression: Expression, disabled: Expression, found: Mapping[str, Found], configured: Expression = DEFAULT) -> dict[str, str]:
    """How much of "enabled" the selection tells without importing a manifest: yes, no, default or if needed. Raises nothing:
    unknown names are for `select` to refuse."""
    items = split(expression)
    if items and all(item[0] in "+-" for item in items):
        table = stated(configured if configured != expression else DEFAULT, (), found)
        table |= {item[1:]: "yes" if item[0] == "+" else "no" for item in items if item[1:] in found}
    else:
        table = {name: _stated(name, each.standard, items) for name, each in found.items()}
    return table | {name: "no" for name in split(disabled) if name in found}


def _stated(name: str, standard: bool, items: list[str]) -> str:
    if name in items or "all" in items or (standard and "@standard" in items):
        return "yes"
    if not standard or set(items) <= {"none"}:
        return "no"
    return "default" if DEFAULT in items else "if needed"


def info(found: Found, manifest: Manifest, config: Any = None, hooks: Iterable[str] = ()) -> dict[str, Any]:
    """Everything a manifest says, the distribution's version, the settings of the config class and the hooks."""
    said = msgspec.to_builtins(manifest, enc_hook=repr)
    said = {name: sorted(value) if isinstance(getattr(manifest, name), frozenset) else value for name, value in said.items()}
    settings = {leaf.path.removeprefix("."): _setting(leaf) for leaf in (leaves(config, "") if config else ())}
    where = {"distribution": found.dist, "version": found.version, "standard": found.standard}
    return {"name": manifest.name, **where, **said, "settings": settings, "hooks": list(hooks)}


def _setting(leaf: Leaf) -> dict[str, str]:
    default = leaf.field.default
    factory = getattr(default, "factory", None)
    shown = "required" if default is NOTHING else f"{factory.__name__}()" if factory else repr(default)
    return {"type": describe(leaf.kind), "default": shown, **{key: value for key, value in leaf.field.metadata.items() if value}}
