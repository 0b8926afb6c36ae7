"""The order of plugins. Pure: manifests in, order out; every problem of the set is reported at once, each with its fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

from attrs import frozen
from routeiq_sdk import CLOCK, GraphError, Manifest, ServiceKey

from .discover import api_problem

Key = ServiceKey[Any]
BUILTIN: frozenset[Key] = frozenset({CLOCK})
"""What the kernel provides itself."""


@frozen(order=True)
class Edge:
    before: str
    after: str
    reason: str


@frozen
class Order:
    names: tuple[str, ...]
    edges: tuple[Edge, ...]


def order(
    manifests: Iterable[Manifest], *, known: Iterable[Manifest] = (), disabled: Collection[str] = (), builtin: Collection[Key] = BUILTIN
) -> Order:
    """Providers first, then `after` and `before`, ties by name: the same set gives the same order however it is listed.
    `known` are installed plugins that are not enabled, and `disabled` those that ROUTEIQ_DISABLE names; they only serve to
    say who could provide a missing service."""
    enabled = sorted(manifests, key=lambda manifest: manifest.name)
    edges = tuple(sorted(set(_edges(enabled))))
    names = [manifest.name for manifest in enabled]
    problems = [
        *(f"plugin {name}: enabled twice" for name, following in pairwise(names) if name == following),
        *filter(None, (api_problem(manifest, f"plugin {manifest.name}") for manifest in enabled)),
        *_provided_twice(enabled, builtin),
        *_missing_services(enabled, list(known), disabled, builtin),
        *_conflicts(enabled),
        *_cycles(names, edges),
    ]
    if problems:
        raise GraphError(*problems)
    return Order(tuple(_sorted(names, edges)), edges)


def missing(enabled: Sequence[Manifest], builtin: Collection[Key] = BUILTIN) -> dict[Key, str]:
    """Required keys that nobody provides, each with the first plugin that requires it."""
    provided = {key for manifest in enabled for key in manifest.provides} | set(builtin)
    wanted: dict[Key, str] = {}
    for manifest in enabled:
        for key in manifest.requires:
            if key not in provided:
                wanted.setdefault(key, manifest.name)
    return dict(sorted(wanted.items(), key=lambda pair: repr(pair[0])))


def _edges(enabled: Sequence[Manifest]) -> Iterator[Edge]:
    names = {manifest.name for manifest in enabled}
    providers = {key: manifest.name for manifest in enabled for key in manifest.provides}
    for manifest in enabled:
        own = manifest.name
        for key in (*manifest.requires, *manifest.optional):
            if providers.get(key, own) != own:
                yield Edge(providers[key], own, f"{providers[key]} provides {key} to {own}")
        for other in names.intersection(manifest.after) - {own}:
            yield Edge(other, own, f"{own} says after {other}")
        for other in names.intersection(manifest.before) - {own}:
            yield Edge(own, other, f"{own} says before {other}")


def _sorted(names: Sequence[str], edges: Sequence[Edge]) -> Iterator[str]:
    """The smallest name among those that are ready goes next, so an unrelated plugin does not reorder the others."""
    sorter = _sorter(names, edges)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, name)
        name = heappop(ready)
        sorter.done(name)
        yield name


def _sorter(names: Iterable[str], edges: Iterable[Edge]) -> TopologicalSorter[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(names, ()))
    for edge in edges:
        sorter.add(edge.after, edge.before)
    return sorter


def _provided_twice(enabled: Sequence[Manifest], builtin: Collection[Key]) -> Iterator[str]:
    providers: dict[Key, list[str]] = {key: ["the kernel"] for key in builtin}
    for manifest in enabled:
        for key in manifest.provides:
            providers.setdefault(key, []).append(manifest.name)
    for key, names in providers.items():
        if len(names) > 1:
            yield f"service {key}: {' and '.join(names)} provide it, but a service has one provider. Disable {' or '.join(names[1:])}"


def _missing_services(
    enabled: Sequence[Manifest], known: Sequence[Manifest], disabled: Collection[str], builtin: Collection[Key]
) -> Iterator[str]:
    names = {manifest.name for manifest in enabled}
    others = {key: manifest.name for manifest in enabled for key in manifest.provides} | dict.fromkeys(builtin, "the kernel")
    for key in missing(enabled, builtin):
        users = ", ".join(manifest.name for manifest in enabled if key in manifest.requires)
        mismatch = next((f"{who} provides {other}" for other, who in others.items() if other.name == key.name), None)
        able = sorted(manifest.name for manifest in known if key in manifest.provides and manifest.name not in names)
        if mismatch:
            yield f"service {key}, required by {users}: {mismatch}, another major version. Upgrade the older of the two"
        elif able:
            ways = " or ".join(f"take {name} out of ROUTEIQ_DISABLE" if name in disabled else f"--plugins +{name}" for name in able)
            yield f"service {key}, required by {users}: no enabled plugin provides it. Enable one that does: {ways}"
        else:
            yield f"service {key}, required by {users}: no installed plugin provides it. Install one that does, or disable {users}"


def _conflicts(enabled: Sequence[Manifest]) -> Iterator[str]:
    names = {manifest.name for manifest in enabled}
    pairs = {tuple(sorted((each.name, other))): each.name for each in enabled for other in names.intersection(each.conflicts)}
    for (one, two), who in sorted(pairs.items()):
        yield f"{one} and {two} cannot run together, says {who}. Disable one of them"


def _cycles(names: Sequence[str], edges: Sequence[Edge]) -> Iterator[str]:
    """Each cycle on its own: one that is found is taken out before the next is looked for."""
    left = set(names)
    reasons: Mapping[tuple[str, str], str] = {(edge.before, edge.after): edge.reason for edge in reversed(edges)}
    while True:
        try:
            _sorter(sorted(left), [edge for edge in edges if {edge.before, edge.after} <= left]).prepare()
            return
        except CycleError as error:
            cycle = error.args[1][:-1]
            start = cycle.index(min(cycle))
            cycle = [*cycle[start:], *cycle[:start], cycle[start]]
            why = "; ".join(reasons[pair] for pair in pairwise(cycle))
            yield f"cycle {' → '.join(cycle)}: {why}. Drop one of these, or disable one of the plugins"
            left -= set(cycle)
