"""`kernel config check | show | schema | explain KEY`."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from typing import Any

from attrs import asdict, field, frozen
from routeiq_sdk import ConfigError, Deployment

from ..config.explain import Row, find, rows
from ..config.flags import flags_from
from ..config.kernel import Settings, configured_plugins, kernel_settings
from ..config.load import Document, load_here
from ..config.models import deployments, known
from ..config.problems import collecting, nearest
from ..config.schema import schema as json_schema
from ..config.strict import plugin_config, used
from ..config.unsupported import check_sections, warnings
from ..graph.select import choose
from ..graph.verify import load
from ..runtime.build import build
from ..runtime.graph import Live
from .command import complain, say


@frozen
class Checked:
    """`configs`: section → config object, of the sections without problems. `classes`: enabled plugin → config class."""

    document: Document
    configs: dict[str, Any] = field(factory=dict)
    classes: dict[str, type] = field(factory=dict)
    deployments: list[Deployment] = field(factory=list)
    problems: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)


def examine(document: Document) -> Checked:
    """Everything that can be checked without starting anything."""
    checked = Checked(document)
    problems, configs, classes = checked.problems, checked.configs, checked.classes
    with collecting(problems):
        configs["kernel"] = kernel_settings(document)
    settings = configs.get("kernel") or Settings()
    with collecting(problems):
        chosen = choose(settings.plugins, settings.disable, settings.mode, configured=configured_plugins(document))
        for name, manifest in chosen.manifests.items():
            with collecting(problems):
                _, cls = load(manifest)
                if cls:
                    classes[name] = cls
                    configs[f"plugins.{name}"] = plugin_config(document, name, cls)
        checked.warnings.extend((*chosen.notes, *warnings(document, *used(classes.values()), chosen.manifests)))
        check_sections(document, chosen.found)
    with collecting(problems):
        checked.deployments.extend(deployments(document, lambda model, params: ("", model)))
    return checked


def _rows(args: Namespace) -> list[Row]:
    """Raises `ConfigError` where there is any problem."""
    checked = examine(load_here(flags_from(args)))
    if checked.problems:
        raise ConfigError(*checked.problems)
    return rows(checked.document, checked.configs)


def check(args: Namespace) -> int:
    checked = examine(load_here(flags_from(args)))
    path, problems = checked.document.path, checked.problems
    if not problems:
        with collecting(problems):
            asyncio.run(build(checked.document, Live(), start=False))  # what `serve` would start
    data = {"ok": not problems, "path": path, "problems": problems, "warnings": checked.warnings}
    ok = [] if problems else [f"OK: {path or 'no configuration file'}"]
    say(args, data, lambda _: "\n".join([*(f"warning: {line}" for line in checked.warnings), *ok]))
    return complain(problems)


def show(args: Namespace) -> int:
    table = _rows(args)
    lines = [(f"{row.path} = {_json(row.value)}", row.source) for row in table]
    width = min(max(len(line) for line, _ in lines), 60)
    data = {row.path: {"value": row.value, "source": row.source} for row in table}
    say(args, data, lambda _: "\n".join(f"{line:{width}}  # {source}" for line, source in lines))
    return 0


def schema(args: Namespace) -> int:
    checked = examine(load_here(flags_from(args)))
    print(json.dumps(json_schema(Settings, checked.classes), indent=2, ensure_ascii=False))
    return 0


def explain(args: Namespace) -> int:
    table = _rows(args)
    found = find(table, args.key)
    section, _, name = args.key.partition(".")
    if not found and name in known().litellm.get(section, ()):
        print(f"{args.key}: a setting of LiteLLM that is not set here, and that no enabled plugin supports yet")
    elif not found:
        return complain([f"{args.key}: no such setting{nearest(args.key, [row.path for row in table])}"])
    else:
        say(args, [asdict(row) for row in found], lambda _: "\n\n".join(map(_text, found)))
    return 0


def _text(row: Row) -> str:
    lines = {"value": _json(row.value), "source": row.source}
    if row.type:
        lines |= {"type": row.type, "default": _json(row.default), "help": row.help}
        lines |= {"variable": " or ".join(row.env), "LiteLLM": " or ".join(row.keys)}
    return "\n".join([row.path, *(f"  {name + ':':9} {text}" for name, text in lines.items() if text)])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
