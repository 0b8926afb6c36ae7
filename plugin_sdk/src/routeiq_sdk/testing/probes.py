"""Measurements that the contract makes of a plugin."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from inspect import Parameter, isasyncgenfunction, iscoroutinefunction, signature
from typing import Any

from ..hooks import PROJECT
from ..specs import HOOKS

_IMPORTS = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import routeiq_sdk
from importlib.metadata import entry_points
(point,) = entry_points(group="routeiq.plugins", name=sys.argv[2])
before = set(sys.modules)
point.load()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def foreign_imports(plugin: str) -> list[str]:
    """Modules that a fresh interpreter imports with the plugin's manifest, apart from the standard library and the SDK."""
    command = [sys.executable, "-c", _IMPORTS, json.dumps(sys.path), plugin]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"the manifest of {plugin} cannot be imported alone:\n{done.stderr}"
    (point,) = entry_points(group="routeiq.plugins", name=plugin)
    parts = point.module.split(".")
    own = {".".join(parts[: count + 1]) for count in range(len(parts))}
    known = sys.stdlib_module_names | {"routeiq_sdk"}
    return [module for module in json.loads(done.stdout) if module not in own and module.split(".")[0] not in known]


def colour_problems(factory: type) -> list[str]:
    """What is wrong with the hook implementations of a plugin class."""
    problems = []
    for name in dir(factory):
        function: Any = getattr(factory, name, None)
        if getattr(function, f"{PROJECT}_impl", None) is None:
            continue
        spec = HOOKS.get(name)
        if spec is None:
            problems.append(f"{name} is no hook; the hooks are {', '.join(HOOKS)}")
            continue
        plain = getattr(function, "__wrapped__", function)  # a lifespan wears @asynccontextmanager
        is_async = iscoroutinefunction(function)
        if is_async != spec.is_async or (name == "lifespan" and not isasyncgenfunction(plain)):
            lifespan = "an @asynccontextmanager" if name == "lifespan" else "a plain function"
            problems.append(f"{name} must be {'a coroutine function' if spec.is_async else lifespan}")
        for parameter in list(signature(function).parameters.values())[1:]:
            if parameter.name not in spec.args:
                problems.append(f"{name} has no argument {parameter.name}; it may name {', '.join(spec.args)}")
            elif parameter.default is not Parameter.empty:
                problems.append(f"{name}: the argument {parameter.name} has a default, which plugin managers treat differently by version")
    return problems


def open_sockets() -> set[int]:
    """File descriptors of this process that are sockets (none on Windows, where sockets are no descriptors)."""
    found = set()
    for descriptor in range(1024):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.add(descriptor)
        except OSError:
            continue
    return found


async def settled(done: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Let the event loop run until `done`, for a while; the caller asserts."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while not done() and loop.time() < until:
        await asyncio.sleep(0.01)


def vars_of(instance: object) -> dict[str, Any]:
    slots = [name for each in type(instance).__mro__ for name in getattr(each, "__slots__", ()) if name != "__weakref__"]
    return {name: getattr(instance, name, None) for name in (*getattr(instance, "__dict__", {}), *slots)}


def readme_of(plugin: str) -> str:
    """The README that a plugin's distribution carries in its metadata, "" if none."""
    for point in entry_points(group="routeiq.plugins", name=plugin):
        if point.dist is not None:
            metadata: Any = point.dist.metadata
            return str(metadata.get("Description") or metadata.get_payload() or "")
    return ""


def yaml_blocks(text: str) -> Iterator[Mapping[str, Any]]:
    """The ```yaml blocks of a README. A reference to the environment gets a value, so that examples load anywhere."""
    from ruamel.yaml import YAML

    for block in re.findall(r"^```ya?ml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield YAML(typ="safe", pure=True).load(re.sub(r"os\.environ/\w+", "sk-from-the-environment", block))
