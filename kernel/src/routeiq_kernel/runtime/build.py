"""Build a graph from a document: select, order, instantiate, attach, collect, bind, start.

All problems of one step are reported together. Whatever was started is stopped again when a later step fails. On reload,
plugins whose manifest, configuration and services are unchanged are taken over from the previous graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from attrs import evolve
from routeiq_sdk import STATE_STORE, Capability, ConfigError, Deployment, GraphError, Hold, Manifest, ServiceKey
from routeiq_sdk.resources import Provider
from routeiq_sdk.services import ATTEMPT_POLICY, MODEL_CATALOG, PRICE_BOOK, TOKEN_COUNTER

from ..config.kernel import Settings, configured_plugins, kernel_settings
from ..config.load import Document
from ..config.models import deployments
from ..config.strict import plugin_config, used
from ..config.unsupported import check_sections, warnings
from ..graph.discover import Found, blame
from ..graph.order import order
from ..graph.select import Chosen, choose
from ..graph.verify import construct, load, verify
from ..pipeline.recorder import Recorder
from .chain import Chains, compile_cell
from .defaults import with_default_models
from .graph import Bound, Graph, Live, Models, unique
from .guard import attempt_safely, collect
from .meter import Cell
from .running import Ctx, Running
from .surfaces import Surfaces

COLLECTS = ("formats", "providers", "surfaces", "strategies", "routes", "middleware", "health", "panels")
NEEDS = {"routes": Capability.ROUTES, "middleware": Capability.MIDDLEWARE}


Extra = Mapping[str, tuple[Manifest, Any]]
"""Plugins that are not installed, for tests: name → manifest and factory."""


def chosen_by(document: Document, settings: Settings, extra: Extra) -> Chosen:
    chosen = choose(settings.plugins, settings.disable, settings.mode, configured=configured_plugins(document))
    check_sections(document, [*chosen.found, *extra])
    if not extra:
        return chosen
    manifests = {**chosen.manifests, **{name: mine for name, (mine, _) in extra.items()}}
    found = {**chosen.found, **{name: Found(name, "(given)", "0", "", False) for name in extra}}
    return evolve(chosen, manifests=manifests, order=order(manifests.values()), found=found)


async def build(document: Document, live: Live, previous: Graph | None = None, extra: Extra | None = None, start: bool = True) -> Graph:
    """Raises `ConfigError` or `GraphError`; then nothing of the new graph is left running. Without `start` nothing runs at all:
    what can be found out without, was."""
    settings = kernel_settings(document)
    chosen = chosen_by(document, settings, extra or {})
    runnings: list[Running] = []
    held: list[Running] = []
    complete = False
    try:
        for name in chosen.order.names:
            runnings.append(await _plugin(name, chosen, document, settings, runnings, previous, extra or {}, live))
        graph = _assemble(document, settings, chosen, runnings, live)
        for running in runnings if start else ():
            held.append(running)
            running.holders += 1
            if running.holders == 1:
                running.ctx.services = services_of(runnings)
                running.ctx.deployments = graph.deployments
                await running.start()
        complete = True
    finally:
        if not complete:
            await revert(runnings)
            for running in reversed(held):
                await running.release()
    return graph


async def revert(runnings: Sequence[Running]) -> None:
    """Give the old config back to plugins that a reload, which is now given up, changed in place."""
    for running in runnings:
        if running.config_before is not None:
            running.config, running.config_before = running.config_before, None
            await attempt_safely(running.cells["on_config_changed"], running.config)


def activate(graph: Graph) -> None:
    """The graph is committed: its plugins see its deployments."""
    for running in graph.plugins:
        running.config_before = None
        running.ctx.deployments = graph.deployments


async def _plugin(
    name: str, chosen: Chosen, document: Document, settings: Settings, ready: list[Running], before: Graph | None, extra: Extra, live: Live
) -> Running:
    mine = chosen.manifests[name]
    factory, config_class = (extra[name][1], getattr(extra[name][1], "Config", None)) if name in extra else load(mine)
    extra_keys = () if config_class else sorted(document.section("plugins").get(name) or ())
    if extra_keys:
        problems = [
            f"plugins.{name}.{key}: the plugin {name} has no settings ({document.where(f'plugins.{name}.{key}')})" for key in extra_keys
        ]
        raise ConfigError(*problems)
    config = plugin_config(document, name, config_class) if config_class else None
    old = next((each for each in before.plugins if each.name == name), None) if before else None
    if old is not None and old.manifest == mine and _same_services(old, ready):
        if old.config == config:
            return old
        change = old.cells.get("on_config_changed")
        if change is not None and await attempt_safely(change, config) is True:
            old.config_before, old.config = old.config, config
            return old
    instance = construct(mine, factory, config) if callable(factory) else factory
    cells = {each.hook: compile_cell(mine, each.hook, getattr(instance, each.hook), each.args) for each in verify(instance, mine)}
    path = Path(document.path) if document.path else None
    ctx = Ctx(mine, settings.mode, Path(settings.state_dir), path, live.exchange)
    ctx.kept = old.ctx.kept if old is not None else ctx.kept
    return Running(mine, chosen.found[name], instance, config, cells, ctx)


def _same_services(old: Running, ready: Sequence[Running]) -> bool:
    """The plugins that it got services from are the same instances as before."""
    now = services_of(ready)
    wanted = (*old.manifest.requires, *old.manifest.optional)
    return all(now.get(key) is old.ctx.services.get(key) for key in wanted)


def _assemble(document: Document, settings: Settings, chosen: Chosen, runnings: Sequence[Running], live: Live) -> Graph:
    for running in runnings:
        _provide(running)
    services = services_of(runnings)
    things = {what: _all(runnings, what) for what in ("formats", "providers")}
    owner = owners(things)
    codecs = unique([thing for _, thing in things["formats"]], "format", owner)
    providers = unique([thing for _, thing in things["providers"]], "provider", owner)
    found = deployments(with_default_models(document, providers), lambda model, params: split(model, params, providers))
    things |= {what: _all(runnings, what, found) for what in COLLECTS if what not in things}
    owner = owners(things)
    cells = {hook: [running.cells[hook] for running in runnings if hook in running.cells] for hook in Chains.__slots__}
    cells["route"] += _strategy(things["strategies"], settings.routing_strategy)
    chains = Chains(cells)
    live.recorder = Recorder(live, chains.on_records) if chains.on_records else None
    surfaces = Surfaces([thing for _, thing in things["surfaces"]], settings.base_path, codecs, owner)
    if surfaces and not chains.authenticate and not settings.allow_anonymous:
        raise GraphError("no enabled plugin authenticates: enable auth_keys, or set kernel.allow_anonymous: true (development mode only)")
    classes = [type(running.config) for running in runnings if running.config is not None]
    said = ["anonymous access is on: anybody who reaches the port may use it"] if settings.allow_anonymous else []
    said += [*chosen.notes, *warnings(document, *used(classes), {running.name for running in runnings})]
    return Graph(
        document, settings, document.hash, tuple(runnings), chains, codecs, providers, surfaces,
        Models([_bind(each, providers, codecs) for each in found], settings.model_group_alias),
        routes=tuple(thing for _, thing in things["routes"]), checks=tuple(thing for _, thing in things["health"]),
        middleware=tuple(thing for _, thing in things["middleware"]),
        warnings=tuple(said),
        edges=tuple(chosen.order.edges), why=why_parsed(runnings), live=live,
        book=services.get(PRICE_BOOK), catalog=services.get(MODEL_CATALOG), counter=services.get(TOKEN_COUNTER),
        store=services.get(STATE_STORE), attempt_policy=services.get(ATTEMPT_POLICY),
    )  # fmt: skip


def services_of(runnings: Sequence[Running]) -> dict[ServiceKey[Any], Any]:
    return {key: value for running in runnings for key, value in running.provided.items()}


def _provide(running: Running) -> None:
    cell = running.cells.get("provide_services")
    if cell is not None and not running.provided:
        running.provided = dict(collect(cell, running.ctx))
    declared = set(running.manifest.provides)
    if declared != set(running.provided):
        given = sorted(map(str, running.provided))
        raise GraphError(f"plugin {running.name}: its manifest provides {sorted(map(str, declared))}, provide_services gave {given}")


def _all(runnings: Sequence[Running], what: str, found: Sequence[Deployment] = ()) -> list[tuple[Running, Any]]:
    return [(running, thing) for running in runnings for thing in _collected(running, what, found)]


def owners(things: Mapping[str, Sequence[tuple[Running, Any]]]) -> dict[int, str]:
    return {id(thing): running.name for pairs in things.values() for running, thing in pairs}


def _collected(running: Running, what: str, found: Sequence[Deployment]) -> list[Any]:
    """`found`: the deployments of the graph that is being built. The plugin's context keeps those of the current one: nobody else
    runs meanwhile."""
    hook = f"register_{what}"
    cell, ctx = running.cells.get(hook), running.ctx
    before, ctx.deployments = ctx.deployments, found or ctx.deployments
    try:
        things = collect(cell, ctx) if cell else []
    finally:
        ctx.deployments = before
    needed = NEEDS.get(what)
    if what == "routes" and things and all(route.auth == "admin" for route in things):
        needed = Capability.ADMIN if Capability.ADMIN in running.manifest.capabilities else needed
    if things and needed and needed not in running.manifest.capabilities:
        raise GraphError(f"plugin {running.name}: {hook} needs capability {needed.name} in its manifest")
    return things


def split(model: str, params: Mapping[str, Any], providers: Mapping[str, Provider]) -> tuple[str, str]:
    """LiteLLM's `provider/name` → provider and name. Raises `ConfigError` for a provider that no plugin registers."""
    custom = params.get("custom_llm_provider")
    if custom in providers:
        return str(custom), model
    prefix, slash, rest = model.partition("/")
    if slash and prefix in providers:
        return prefix, rest
    if not custom:
        for name, provider in providers.items():
            if any(fnmatchcase(model, pattern) for pattern in provider.base_models):
                return name, model
    raise ConfigError(
        f"no enabled plugin provides {custom or (prefix if slash else model)!r}; known providers: {', '.join(sorted(providers)) or 'none'}"
    )


def _strategy(registered: Sequence[tuple[Running, Any]], wanted: str) -> list[Cell]:
    """The configured strategy as the last of the `route` chain."""
    for running, strategy in registered:
        if strategy.name == wanted:
            return [Cell(running.manifest, "route", "first", strategy.plan)]
    if registered:
        known = ", ".join(sorted(strategy.name for _, strategy in registered))
        raise ConfigError(f"router_settings.routing_strategy: no enabled plugin registers {wanted!r}; known strategies: {known}")
    return []


def _bind(deployment: Deployment, providers: Mapping[str, Provider], codecs: Mapping[str, Any]) -> Bound:
    provider = providers[deployment.provider]
    if not hasattr(provider, "bind"):
        return Bound(deployment, provider)
    with blame(f"provider {provider.name}: binding a deployment of {deployment.group} failed", "Correct the deployment, or its plugin"):
        upstream = provider.bind(deployment)
    spoken = tuple(codecs[name] for name in upstream.formats if name in codecs)
    if not spoken:
        raise GraphError(f"provider {provider.name} speaks {upstream.formats[0]!r}, and no enabled plugin registers that format")
    return Bound(deployment, provider, upstream, spoken[0], spoken)


def why_parsed(runnings: Sequence[Running]) -> dict[str, tuple[str, ...]]:
    def forcing(stream: bool) -> Iterator[str]:
        for running in runnings:
            for hook in ("on_stream_event", "on_block", "on_response"):
                if hook in running.cells and not (stream and hook == "on_response" and running.manifest.hold is not Hold.ANSWER):
                    yield f"{running.name}.{hook}"

    return {"stream": tuple(forcing(True)), "whole": tuple(forcing(False))}
