"""The order of plugins. Pure: manifests in, order out; every problem of the set is reported at once, each with its fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

from attrs import frozen
from routeiq_sdk import CLOCK, GraphError, Manifest, ServiceKey
from routeiq_sdk.services import MODEL_CALLER, PEERS

from .discover import api_problem

Key = ServiceKey[Any]
BUILTIN: frozenset[Key] = frozenset({CLOCK, PEERS, MODEL_CALLER})
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


def order(manifests: Iterable[Manifest], *, known: Iterable[Manifest] = (), disabled: Collection[str] = ()) -> Order:
    """Providers first, then `after` and `before`, ties by name: the same set gives the same order however it is listed.
    `known` are installed plugins that are not enabled, and `disabled` those that ROUTEIQ_DISABLE names; they only serve to
    say who could provide a missing service."""
    enabled = sorted(manifests, key=lambda manifest: manifest.name)
    edges = tuple(sorted(set(_edges(enabled))))
    names = [manifest.name for manifest in enabled]
    problems = [
        *(f"plugin {name}: enabled twice" for name, following in pairwise(names) if name == following),
        *filter(None, (api_problem(manifest, f"plugin {manifest.name}") for manifest in enabled)),
        *_provided_twice(enabled),
        *_missing_services(enabled, _providers(known), disabled),
        *_conflicts(enabled),
        *_cycles(names, edges),
    ]
    if problems:
        raise GraphError(*problems)
    return Order(tuple(_sorted(names, edges)), edges)


def missing(enabled: Sequence[Manifest]) -> dict[Key, str]:
    """Required keys that nobody provides, each with the first plugin that requires it."""
    provided = {*BUILTIN, *_providers(enabled)}
    wanted: dict[Key, str] = {}
    for manifest in enabled:
        for key in manifest.requires:
            if key not in provided:
                wanted.setdefault(key, manifest.name)
    return dict(sorted(wanted.items(), key=lambda pair: repr(pair[0])))


def _providers(manifests: Iterable[Manifest]) -> dict[Key, list[str]]:
    providers: dict[Key, list[str]] = {}
    for manifest in manifests:
        for key in manifest.provides:
            providers.setdefault(key, []).append(manifest.name)
    return providers


def _edges(enabled: Sequence[Manifest]) -> Iterator[Edge]:
    names = {manifest.name for manifest in enabled}
    providers = _providers(enabled)
    for manifest in enabled:
        own = manifest.name
        others = names - {own}
        for key in (*manifest.requires, *manifest.optional):
            for other in others.intersection(providers.get(key, ())):
                yield Edge(other, own, f"{other} provides {key} to {own}")
        for other in others.intersection(manifest.after):
            yield Edge(other, own, f"{own} says after {other}")
        for other in others.intersection(manifest.before):
            yield Edge(own, other, f"{own} says before {other}")


def _sorted(names: Iterable[str], edges: Iterable[Edge]) -> Iterator[str]:
    """The smallest name among those that are ready goes next, so an unrelated plugin does not reorder the others.
    Raises `CycleError`."""
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(names, ()))
    for edge in edges:
        sorter.add(edge.after, edge.before)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, name)
        name = heappop(ready)
        sorter.done(name)
        yield name


def _provided_twice(enabled: Sequence[Manifest]) -> Iterator[str]:
    for key, able in _providers(enabled).items():
        names = ["the kernel", *able] if key in BUILTIN else able
        if len(names) > 1:
            yield f"service {key}: {' and '.join(names)} provide it, but a service has one provider. Disable {' or '.join(names[1:])}"


def _missing_services(enabled: Sequence[Manifest], elsewhere: dict[Key, list[str]], disabled: Collection[str]) -> Iterator[str]:
    here = {key: ["the kernel"] for key in BUILTIN} | _providers(enabled)
    for key in missing(enabled):
        users = ", ".join(manifest.name for manifest in enabled if key in manifest.requires)
        mismatch = next((f"{who} provides {other}" for other, (who, *_) in here.items() if other.name == key.name), None)
        able = sorted(elsewhere.get(key, ()))
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


def _cycles(names: Iterable[str], edges: Sequence[Edge]) -> Iterator[str]:
    """Each cycle on its own: one that is found is taken out before the next is looked for."""
    left = set(names)
    reasons = {(edge.before, edge.after): edge.reason for edge in reversed(edges)}
    while True:
        try:
            list(_sorted(sorted(left), [edge for edge in edges if {edge.before, edge.after} <= left]))
            return
        except CycleError as error:
            cycle = error.args[1][:-1]
            start = cycle.index(min(cycle))
            cycle = [*cycle[start:], *cycle[:start], cycle[start]]
            why = "; ".join(reasons[pair] for pair in pairwise(cycle))
            yield f"cycle {' → '.join(cycle)}: {why}. Drop one of these, or disable one of the plugins"
            left -= set(cycle)
