"""Which plugins are enabled: the selection expression of `--plugins`, `ROUTEIQ_PLUGINS` or `kernel.plugins`.

a,b               exactly these, plus the only standard provider of each service they need
+x,-y             the configured selection, edited
@default          the standard plugins whose manifest says `default_enabled`
@standard         the dependencies of the distribution `routeiq`
none, all         nothing; everything installed (not in production mode)
path/to/file.py   one development file or package folder (not in production mode)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from attrs import define, field, frozen
from routeiq_sdk import GraphError, Manifest, ServiceKey

from ..config.problems import collecting, nearest
from .discover import Found, development, installed, manifest
from .order import Order, missing, order

Expression = str | Sequence[str]
DEFAULT = "@default"
GROUPS = {"@default": "standard, enabled by default", "@standard": "standard", "all": "everything installed", "none": "nothing"}


@frozen
class Chosen:
    """`found` holds everything installed and the development files; `manifests` those of the enabled plugins."""

    order: Order
    manifests: Mapping[str, Manifest]
    found: Mapping[str, Found]
    reasons: Mapping[str, str]
    notes: tuple[str, ...]


def choose(expression: Expression, disabled: Expression = (), mode: str = "development", configured: Expression = DEFAULT) -> Chosen:
    """An ordered set of manifests. Raises `GraphError` with all problems of the step that fails."""
    found = installed()
    chosen = select(expression, disabled, found, cache(lambda name: manifest(found[name])), mode, configured=configured)
    ordered = order(chosen.manifests.values(), known=chosen.others, disabled=chosen.disabled)
    return Chosen(ordered, chosen.manifests, chosen.found, chosen.reasons, chosen.notes)


def pick(name: str) -> tuple[Found, Manifest]:
    """One installed plugin by name, or one development file."""
    if is_path(name):
        return development(name)
    found = installed()
    if name not in found:
        raise GraphError(f"plugin {name} is not installed: see kernel plugins list{nearest(name, found)}")
    return found[name], manifest(found[name])


def select(
    expression: Expression,
    disabled: Expression,
    found: Mapping[str, Found],
    manifests: Callable[[str], Manifest],
    mode: str = "development",
    *,
    configured: Expression = DEFAULT,
) -> Selection:
    """`manifests` imports an installed plugin's manifest by name; it is asked for enabled and standard plugins only, unless a
    service is missing. `configured` is what `+x,-y` edits. Raises `GraphError` with all problems."""
    chosen = Selection(dict(found), manifests, mode, tuple(split(disabled)))
    chosen.apply(expression, configured)
    chosen.disable()
    for name in chosen.reasons:
        chosen.manifest(name)
    chosen.add_providers()
    if chosen.problems:
        raise GraphError(*chosen.problems)
    chosen.reasons = dict(sorted(chosen.reasons.items()))
    chosen.ask_for_missing()
    return chosen


def split(expression: Expression) -> list[str]:
    """A comma string or a YAML list → its items."""
    parts = expression.split(",") if isinstance(expression, str) else expression
    return [part.strip() if isinstance(part, str) else str(part) for part in parts if part is not None and str(part).strip()]


def is_path(item: str) -> bool:
    return item.endswith(".py") or "/" in item or "\\" in item


@define
class Selection:
    """`found` holds the development files too; `reasons` says why each enabled plugin is; `known` are the manifests read so far."""

    found: dict[str, Found]
    read: Callable[[str], Manifest]
    mode: str
    disabled: tuple[str, ...]
    reasons: dict[str, str] = field(factory=dict)
    known: dict[str, Manifest] = field(factory=dict)
    notes: tuple[str, ...] = ()
    removed: set[str] = field(factory=set)
    problems: list[str] = field(factory=list)

    @property
    def manifests(self) -> dict[str, Manifest]:
        return {name: self.known[name] for name in self.reasons}

    @property
    def others(self) -> list[Manifest]:
        """Manifests of plugins that are not enabled."""
        return [manifest for name, manifest in self.known.items() if name not in self.reasons]

    def apply(self, expression: Expression, configured: Expression) -> None:
        items = split(expression)
        edits = [item for item in items if item[0] in "+-"]
        if not items and isinstance(expression, str):
            self.problems.append('plugins: empty selection. Write "none" to enable nothing')
        elif edits and len(edits) < len(items):
            names = ", ".join(item for item in items if item not in edits)
            way_out = "either name exactly what to enable, or edit the configured set with + and - alone"
            self.problems.append(f"plugins: {names} beside {', '.join(edits)}: {way_out}")
        elif len(items) > 1 and {"none", "all"} & set(items):
            self.problems.append(f"plugins: {','.join(items)}: none and all stand alone")
        else:
            if edits:
                self.apply(configured if configured != expression else DEFAULT, DEFAULT)
            for item in items:
                self.edit(item)

    def edit(self, item: str) -> None:
        if item[0] == "-":
            for name in self.names(item[1:]):
                self.reasons.pop(name, None)
                self.removed.add(name)
            return
        reason = GROUPS.get(item) or (f"development file {item}" if is_path(item) else "named in the selection")
        for name in self.names(item.removeprefix("+")):
            self.reasons.setdefault(name, f"added with {item}" if item[0] == "+" else reason)

    def names(self, item: str) -> list[str]:
        """The plugins that one item stands for."""
        if self.mode == "production" and (item == "all" or is_path(item)):
            self.problems.append(f"plugins: {item} is not allowed in production mode. Name installed plugins")
        elif item == "all":
            return list(self.found)
        elif item in ("@default", "@standard"):
            standard = self.standard()
            if not standard:
                self.notes += (f"{item} is empty, because no plugin is standard: the distribution routeiq is not installed",)
            return [name for name in standard if item == "@standard" or ((found := self.manifest(name)) and found.default_enabled)]
        elif is_path(item):
            return self.load(item)
        elif item in self.found:
            return [item]
        elif item != "none":
            self.problems.append(f"plugins: {item or 'a name'} is not installed: see kernel plugins list{nearest(item, self.found)}")
        return []

    def load(self, path: str) -> list[str]:
        """A development file."""
        names = []
        with collecting(self.problems):
            found, manifest = development(path)
            replaced = self.found.get(found.name)
            if replaced is not None and replaced.path != found.path:
                self.notes += (f"{found.name}: {path} takes the place of {replaced.dist}",)
            self.found[found.name], self.known[found.name] = found, manifest
            names.append(found.name)
        return names

    def standard(self) -> list[str]:
        return [name for name, found in self.found.items() if found.standard and name not in self.disabled]

    def manifest(self, name: str) -> Manifest | None:
        if name not in self.known:
            with collecting(self.problems):
                self.known[name] = self.read(name)
        return self.known.get(name)

    def disable(self) -> None:
        for name in self.disabled:
            if name in self.found:
                self.reasons.pop(name, None)
                self.notes += (f"{name} is off: ROUTEIQ_DISABLE names it",)
            else:
                self.notes += (f"ROUTEIQ_DISABLE names {name}, which is not installed{nearest(name, self.found)}",)

    def missing(self) -> dict[ServiceKey[Any], str]:
        return missing([self.known[name] for name in sorted(self.reasons)])

    def add_providers(self) -> None:
        """Add the only standard provider of each missing service, and of what those need in turn. A service with several
        providers, or none, stays missing: `order` says so."""
        added = True
        while added and not self.problems:
            added = False
            for key, user in self.missing().items():
                able = [name for name in self.standard() if (manifest := self.manifest(name)) is not None and key in manifest.provides]
                providers = [name for name in able if name not in self.removed]
                if len(providers) == 1 and providers[0] not in self.reasons:
                    added = True
                    self.reasons[providers[0]] = f"provides {key} to {user}"
                    self.notes += (f"{providers[0]} is enabled too: the only standard plugin that provides {key} to {user}",)

    def ask_for_missing(self) -> None:
        """Where a service is missing, further plugins are asked, disabled ones first, so that `order` can say which to enable."""
        for name in (*self.disabled, *self.found):
            if not self.missing().keys() - {key for manifest in self.others for key in manifest.provides}:
                return
            if name in self.found and name not in self.known:
                with suppress(GraphError):
                    self.known[name] = self.read(name)
