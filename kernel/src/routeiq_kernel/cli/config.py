"""`kernel config check | show | schema | explain KEY`. Heavy imports wait until a subcommand runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ..config.flags import add_flags, flags_from

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction

    from ..config.explain import Row
    from ..config.load import Document

VERBS = {
    "check": "say OK with warnings, or every problem (exit status 1)",
    "show": "the configuration in force, and where each value came from",
    "schema": "JSON Schema of the kernel and the enabled plugins",
    "explain": "value, source, type, default and meaning of a setting",
}


@frozen
class Checked:
    """`configs`: section → config object, of the sections without problems. `classes`: enabled plugin → config class."""

    document: Document
    configs: dict[str, Any] = field(factory=dict)
    classes: dict[str, type] = field(factory=dict)
    problems: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    parser = subparsers.add_parser("config", help="check, show and explain the configuration")
    commands = parser.add_subparsers(dest="config_command", required=True, metavar="COMMAND")
    for verb, help in VERBS.items():
        command = commands.add_parser(verb, help=help, description=help)
        if verb == "explain":
            command.add_argument("key", metavar="KEY", help="such as kernel.port, port, LITELLM_PORT, router_settings.timeout")
        if verb != "schema":
            command.add_argument("--json", action="store_true", help="machine-readable output")
        add_flags(command)
        command.set_defaults(func=run)


def run(args: Namespace) -> int:
    from routeiq_sdk import ConfigError

    from ..config.load import load_here

    try:
        checked = examine(load_here(flags_from(args)))
    except ConfigError as error:
        return _fail(error.problems)
    if args.config_command == "check":
        if not checked.problems:
            _try(checked.problems, _build, checked.document)
        return check(checked, args.json)
    if args.config_command == "schema":
        return schema(checked)
    if checked.problems:
        return _fail(checked.problems)
    return show(checked, args.json) if args.config_command == "show" else explain(checked, args.key, args.json)


def examine(document: Document) -> Checked:
    """Everything that can be checked without starting anything."""
    from ..config.kernel import Settings, configured_plugins, kernel_settings
    from ..config.models import deployments
    from ..config.plugins import check_sections, plugin_config, used
    from ..config.unsupported import warnings
    from ..graph.choose import choose
    from ..graph.verify import load

    checked = Checked(document)
    problems, configs, classes = checked.problems, checked.configs, checked.classes
    settings = _try(problems, kernel_settings, document)
    configs |= {"kernel": settings} if settings else {}
    settings = settings or Settings()
    chosen = _try(problems, choose, settings.plugins, settings.disable, settings.mode, configured=configured_plugins(document))
    for name, manifest in chosen.manifests.items() if chosen else ():
        loaded = _try(problems, load, manifest)
        if loaded and loaded[1]:
            classes[name] = loaded[1]
            config = _try(problems, plugin_config, document, name, loaded[1])
            configs |= {f"plugins.{name}": config} if config is not None else {}
    if chosen:
        _try(problems, check_sections, document, chosen.found)
        checked.warnings.extend((*chosen.notes, *warnings(document, *used(classes.values()), chosen.manifests)))
    _try(problems, deployments, document, lambda model, params: ("", model))
    return checked


def _build(document: Document) -> None:
    """The graph that `serve` would start, with its plugins constructed and nothing started."""
    import asyncio

    from ..pipeline.watchdog import Watchdog
    from ..runtime.build import build

    asyncio.run(build(document, Watchdog(), start=False))


def _try(problems: list[str], call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    from routeiq_sdk import ConfigError, GraphError

    try:
        return call(*args, **named)
    except (ConfigError, GraphError) as error:
        problems += error.problems
        return None


def check(checked: Checked, as_json: bool) -> int:
    path, problems, warnings = checked.document.path, checked.problems, checked.warnings
    if as_json:
        _print({"ok": not problems, "path": path, "problems": problems, "warnings": warnings})
        return 1 if problems else 0
    for line in warnings:
        print(f"warning: {line}")
    if problems:
        return _fail(problems)
    print(f"OK: {path or 'no configuration file'}")
    return 0


def show(checked: Checked, as_json: bool) -> int:
    from ..config.explain import rows

    table = rows(checked.document, checked.configs)
    if as_json:
        _print({row.path: {"value": row.value, "source": row.source} for row in table})
    else:
        lines = [(f"{row.path} = {_json(row.value)}", row.source) for row in table]
        width = min(max(len(line) for line, _ in lines), 60)
        print("\n".join(f"{line:{width}}  # {source}" for line, source in lines))
    return 0


def schema(checked: Checked) -> int:
    from ..config.kernel import Settings
    from ..config.schema import schema

    _print(schema(Settings, checked.classes))
    return 0


def explain(checked: Checked, key: str, as_json: bool) -> int:
    from attrs import asdict

    from ..config.explain import find, rows
    from ..config.known import known
    from ..config.strict import nearest

    table = rows(checked.document, checked.configs)
    found = find(table, key)
    section, _, name = key.partition(".")
    if not found and name in known().litellm.get(section, ()):
        print(f"{key}: a setting of LiteLLM that is not set here, and that no enabled plugin supports yet")
    elif not found:
        return _fail([f"{key}: no such setting{nearest(key, [row.path for row in table])}"])
    elif as_json:
        _print([asdict(row) for row in found])
    else:
        print("\n\n".join(_text(row) for row in found))
    return 0


def _text(row: Row) -> str:
    lines = {"value": _json(row.value), "source": row.source}
    if row.type:
        lines |= {"type": row.type, "default": _json(row.default), "help": row.help}
        lines |= {"variable": " or ".join(row.env), "LiteLLM": " or ".join(row.keys)}
    return "\n".join([row.path, *(f"  {name + ':':9} {text}" for name, text in lines.items() if text)])


def _fail(problems: Iterable[str]) -> int:
    print("\n".join(f"error: {problem}" for problem in problems), file=sys.stderr)
    return 1


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _print(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
