"""Which plugins are enabled: the selection expression of `--plugins`, `ROUTEIQ_PLUGINS` or `kernel.plugins`.

a,b               exactly these, plus the only standard provider of each service they need
+x,-y             the configured selection, edited
@default          the standard plugins whose manifest says `default_enabled`
@standard         the dependencies of the distribution `routeiq`
none, all         nothing; everything installed (not in production mode)
path/to/file.py   one development file or package folder (not in production mode)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING

from attrs import field, frozen
from routeiq_sdk import GraphError

from .order import BUILTIN, missing

if TYPE_CHECKING:
    from routeiq_sdk import Manifest

    from .discover import Found

Expression = str | Sequence[str]
DEFAULT = "@default"
GROUPS = {"@default": "standard, enabled by default", "@standard": "standard", "all": "everything installed"}


@frozen
class Selection:
    """`enabled` is sorted by name; `reasons` says why each is in it. `manifests` are those of the enabled plugins,
    `others` further ones that were read on the way; `development` holds the development files among the enabled."""

    enabled: tuple[str, ...]
    reasons: Mapping[str, str]
    notes: tuple[str, ...] = ()
    manifests: Mapping[str, Manifest] = field(factory=dict)
    development: Mapping[str, Found] = field(factory=dict)
    others: tuple[Manifest, ...] = ()
    disabled: tuple[str, ...] = ()


def select(
    expression: Expression,
    disabled: Expression,
    found: Mapping[str, Found],
    manifests: Callable[[str], Manifest],
    mode: str = "development",
    *,
    configured: Expression = DEFAULT,
) -> Selection:
    """`manifests` imports an installed plugin's manifest by name; it is asked for enabled and standard plugins only.
    `configured` is what `+x,-y` edits. Raises `GraphError` with all problems."""
    chooser = _Chooser(dict(found), manifests, mode, set(split(disabled)))
    chooser.apply(expression, configured)
    chooser.disable(split(disabled))
    chooser.read_manifests()
    chooser.add_providers()
    if chooser.problems:
        raise GraphError(*chooser.problems)
    enabled = tuple(sorted(chooser.reasons))
    return Selection(
        enabled,
        {name: chooser.reasons[name] for name in enabled},
        tuple(chooser.notes),
        {name: chooser.known[name] for name in enabled},
        {name: chooser.found[name] for name in enabled if chooser.found[name].path},
        tuple(chooser.others()),
        tuple(split(disabled)),
    )


def split(expression: Expression) -> list[str]:
    """A comma string or a YAML list → its items."""
    parts = expression.split(",") if isinstance(expression, str) else expression
    return [part.strip() if isinstance(part, str) else str(part) for part in parts if part is not None and str(part).strip()]


def is_path(item: str) -> bool:
    return item.endswith(".py") or "/" in item or "\\" in item


def nearest(name: str, names: Iterable[str]) -> str:
    """`  (did you mean x?)`, or "" when no name is near."""
    close = get_close_matches(name, list(names), 1)
    return f" (did you mean {close[0]}?)" if close else ""


class _Chooser:
    """One selection in the making."""

    def __init__(self, found: dict[str, Found], manifests: Callable[[str], Manifest], mode: str, disabled: Collection[str]) -> None:
        self.found, self.manifests, self.mode, self.disabled = found, manifests, mode, disabled
        self.reasons: dict[str, str] = {}
        self.removed: set[str] = set()
        self.known: dict[str, Manifest] = {}
        self.notes: list[str] = []
        self.problems: list[str] = []

    def apply(self, expression: Expression, configured: Expression) -> None:
        items = split(expression)
        edits = [item for item in items if item[0] in "+-"]
        if not items and isinstance(expression, str):
            self.problems.append('plugins: empty selection. Write "none" to enable nothing')
        elif edits and len(edits) < len(items):
            names = ", ".join(item for item in items if item not in edits)
            way_out = "either name exactly what to enable, or edit the configured set with + and - alone"
            self.problems.append(f"plugins: {names} beside {', '.join(edits)}: {way_out}")
        elif edits:
            self.edit(edits, configured if configured != expression else DEFAULT)
        elif len(items) > 1 and {"none", "all"} & set(items):
            self.problems.append(f"plugins: {','.join(items)}: none and all stand alone")
        else:
            for item in items:
                for name in self.names(item):
                    self.reasons.setdefault(name, self.reason(item))

    def edit(self, edits: Sequence[str], configured: Expression) -> None:
        self.apply(configured, DEFAULT)
        for item in edits:
            for name in self.names(item[1:]):
                if item[0] == "+":
                    self.reasons.setdefault(name, f"added with {item}")
                else:
                    self.reasons.pop(name, None)
                    self.removed.add(name)

    def reason(self, item: str) -> str:
        return GROUPS.get(item) or (f"development file {item}" if is_path(item) else "named in the selection")

    def names(self, item: str) -> list[str]:
        """The plugins that one item stands for."""
        if self.mode == "production" and (item == "all" or is_path(item)):
            self.problems.append(f"plugins: {item} is not allowed in production mode. Name installed plugins")
            return []
        if item in GROUPS or item == "none":
            return self.group(item)
        if is_path(item):
            return self.development(item)
        if item not in self.found:
            self.problems.append(f"plugins: {item or 'a name'} is not installed{nearest(item, self.found)}. See: kernel plugins list")
            return []
        return [item]

    def group(self, item: str) -> list[str]:
        if item == "none":
            return []
        if item == "all":
            return list(self.found)
        standard = self.standard()
        if not standard:
            self.notes.append(f"{item} is empty, because no plugin is standard: the distribution routeiq is not installed")
        if item == "@standard":
            return standard
        return [name for name in standard if (manifest := self.manifest(name)) is not None and manifest.default_enabled]

    def development(self, path: str) -> list[str]:
        from .discover import development

        try:
            found, manifest = development(path)
        except GraphError as error:
            self.problems.extend(error.problems)
            return []
        if found.name in self.found and self.found[found.name].path != found.path:
            self.notes.append(f"{found.name}: {path} takes the place of {self.found[found.name].dist}")
        self.found[found.name], self.known[found.name] = found, manifest
        return [found.name]

    def standard(self) -> list[str]:
        return [name for name, found in self.found.items() if found.standard and name not in self.disabled]

    def manifest(self, name: str) -> Manifest | None:
        if name not in self.known:
            try:
                self.known[name] = self.manifests(name)
            except GraphError as error:
                self.problems.extend(problem for problem in error.problems if problem not in self.problems)
                return None
        return self.known[name]

    def disable(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.found:
                self.notes.append(f"ROUTEIQ_DISABLE names {name}, which is not installed{nearest(name, self.found)}")
            else:
                self.reasons.pop(name, None)
                self.notes.append(f"{name} is off: ROUTEIQ_DISABLE names it")

    def read_manifests(self) -> None:
        for name in self.reasons:
            self.manifest(name)

    def add_providers(self) -> None:
        """Add the only standard provider of each missing service, and of what those need in turn. A service with several
        providers, or none, stays missing: `order` says so."""
        while self.reasons and not self.problems:
            enabled = [self.known[name] for name in sorted(self.reasons)]
            added = False
            for key, user in missing(enabled, BUILTIN).items():
                able = [name for name in self.standard() if (manifest := self.manifest(name)) is not None and key in manifest.provides]
                providers = [name for name in able if name not in self.removed]
                if len(providers) == 1 and providers[0] not in self.reasons:
                    self.reasons[providers[0]] = f"provides {key} to {user}"
                    self.notes.append(f"{providers[0]} is enabled too: the only standard plugin that provides {key} to {user}")
                    added = True
            if not added:
                return

    def others(self) -> Iterator[Manifest]:
        """Known manifests that are not enabled. Where a service is missing, disabled plugins are asked too: they may be the reason."""
        if missing([self.known[name] for name in self.reasons], BUILTIN):
            for name in self.found.keys() & self.disabled:
                with suppress(GraphError):
                    self.known.setdefault(name, self.manifests(name))
        yield from (manifest for name, manifest in self.known.items() if name not in self.reasons)
