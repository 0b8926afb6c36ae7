"""Does a plugin keep the contract that its manifest and the hook specifications state? Imports factories, starts nothing.

pluggy checks names and arguments; colours, defaults, wrappers and capabilities are checked here, because the kernel calls
implementations directly: pluggy's own call options would have no effect.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import attrs
import pluggy
from attrs import frozen
from routeiq_sdk import Capability, GraphError, Manifest
from routeiq_sdk.hooks import PROJECT
from routeiq_sdk.specs import HOOKS, Specs

from ..config.problems import nearest
from .discover import blame, resolve

MARK = f"{PROJECT}_impl"
OPTIONS = ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook", "specname")
STREAM_HOOKS = ("on_stream_event", "on_block", "on_response")
"""They see and may change answers, which takes Capability.STREAM."""


@frozen
class Attached:
    """A hook that the plugin implements, and the arguments its implementation takes, in its own order."""

    hook: str
    args: tuple[str, ...]


def verify(plugin: object, manifest: Manifest) -> list[Attached]:
    """The hooks of a plugin instance, in the order of the specifications. Raises `GraphError` with every problem."""
    problems = [f"plugin {manifest.name}, {problem}" for problem in _problems(plugin, manifest)]
    if problems:
        raise GraphError(*problems)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specs)
    with blame(f"plugin {manifest.name}: registering it failed", "Set every attribute in the constructor and mark only hooks"):
        manager.register(plugin, manifest.name)
        manager.check_pending()
    attached = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    return [Attached(name, tuple(inspect.signature(getattr(plugin, name)).parameters)) for name in HOOKS if name in attached]


def hooks(factory: object) -> list[str]:
    """The hooks that a plugin class implements, without an instance."""
    return [name for name in HOOKS if hasattr(inspect.getattr_static(factory, name, None), MARK)]


def load(manifest: Manifest) -> tuple[Any, type | None]:
    """Import the factory and the config class. Raises `GraphError` naming plugin and reference."""
    factory = _resolve(manifest, "factory", manifest.factory)
    config = _resolve(manifest, "config", manifest.config) if manifest.config else None
    if not callable(factory):
        raise GraphError(f"plugin {manifest.name}: factory {manifest.factory} cannot be called. Name the plugin class")
    if config is not None and not (isinstance(config, type) and attrs.has(config)):
        raise GraphError(f"plugin {manifest.name}: config {manifest.config} is no attrs class. Decorate it with attrs.frozen")
    return factory, config


def construct(manifest: Manifest, factory: Any, config: object | None) -> object:
    """The plugin instance: `factory(config)`, or `factory()` for a plugin without config."""
    with blame(f"plugin {manifest.name}: constructing {manifest.factory} failed", "Constructors store; connect in lifespan"):
        return factory() if config is None else factory(config)


def check(manifest: Manifest, configure: Callable[[type], object]) -> list[Attached]:
    """Import, construct and verify one plugin. `configure` makes an instance of its config class."""
    factory, config = load(manifest)
    return verify(construct(manifest, factory, configure(config) if config else None), manifest)


def _resolve(manifest: Manifest, role: str, reference: str) -> Any:
    if not all(reference.partition(":")):
        raise GraphError(f'plugin {manifest.name}: {role}={reference!r}: expected "module:Class"')
    what = f"plugin {manifest.name}: importing its {role}"
    return resolve(reference, what, f"Repair it or set ROUTEIQ_DISABLE={manifest.name}")


def _problems(plugin: object, manifest: Manifest) -> Iterator[str]:
    kind = type(plugin)
    if getattr(kind, "__eq__", object.__eq__) is not object.__eq__:
        yield f"class {kind.__name__}: it defines __eq__, but plugins are compared by identity. With attrs write eq=False"
    hooks: dict[str, dict[str, Any]] = {}
    for name in (name for name in dir(kind) if not name.startswith("__")):
        member = inspect.getattr_static(kind, name)
        function = getattr(member, "__func__", member)
        options = getattr(member, MARK, None) or getattr(function, MARK, None)
        if isinstance(member, property | cached_property):
            yield f"attribute {name}: a property runs when the plugin is inspected. Make it a method"
        elif options is not None:
            hooks[name] = options
        elif name in HOOKS and inspect.isfunction(function):
            yield f"method {name}: it has the name of a hook but no @hookimpl, so it would never be called. Mark or rename it"
    for name, options in hooks.items():
        yield from _hook_problems(name, options, getattr(plugin, name))
    if manifest.provides and "provide_services" not in hooks:
        keys = ", ".join(map(repr, manifest.provides))
        yield f"manifest: it provides {keys}, but the plugin has no hook provide_services. Add it"
    for name in STREAM_HOOKS:
        if name in hooks and Capability.STREAM not in manifest.capabilities:
            yield f"hook {name}: it takes Capability.STREAM. Add it to the manifest's capabilities"


def _hook_problems(name: str, options: Mapping[str, Any], method: Any) -> Iterator[str]:
    refused = [option for option in OPTIONS if options.get(option)]
    if refused:
        yield f"hook {name}: @hookimpl({refused[0]}=...) has no effect here. Order plugins with after and before in the manifest"
    spec = HOOKS.get(name)
    if spec is None:
        yield f"hook {name}: no such hook{nearest(name, HOOKS)}"
        return
    if inspect.isasyncgenfunction(method):
        fix = "Put @asynccontextmanager under @hookimpl" if name == "lifespan" else "Return a value instead of yielding"
        yield f"hook {name}: it is an async generator. {fix}"
    elif spec.is_async != inspect.iscoroutinefunction(method):
        words = ("be async", "async def") if spec.is_async else ("not be async", "def")
        yield f"hook {name}: it must {words[0]}. Write {words[1]} {name}"
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            yield f"hook {name}, argument {parameter}: only plain arguments are passed. Choose from {', '.join(spec.args)}"
        elif parameter.default is not parameter.empty:
            yield f"hook {name}, argument {parameter.name}: a default would hide that it is not passed. Remove the default"
        elif parameter.name not in spec.args:
            close = nearest(parameter.name, spec.args)
            yield f"hook {name}, argument {parameter.name}: no such argument; the hook has {', '.join(spec.args)}{close}"
