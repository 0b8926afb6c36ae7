"""`kernel plugins list | info | graph | check | new`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import asdict
from routeiq_sdk import GraphError

from ..config.flags import flags_from
from ..config.kernel import Settings, configured_plugins, kernel_settings
from ..config.load import Document, load_here
from ..config.problems import collecting
from ..config.strict import plugin_config
from ..graph import explain, verify
from ..graph.discover import installed
from ..graph.select import Chosen, choose, pick
from .command import columns, complain, say, words

LEGEND = {"default": "default: on if its manifest says so", "if needed": "if needed: on if another plugin requires its service"}
NOTHING_STANDARD = "The distribution routeiq is not installed: no plugin is standard, so @default and @standard are empty."


def _settings(args: Namespace) -> tuple[Document, Settings]:
    document = load_here(flags_from(args))
    return document, kernel_settings(document)


def _choose(args: Namespace, name: str | None = None) -> tuple[Document, Chosen]:
    """The configured plugins; for one plugin, it alone with the providers it needs, beside what `--plugins` names."""
    document, settings = _settings(args)
    wanted, configured = settings.plugins, configured_plugins(document)
    if name is not None:
        wanted, configured = (f"+{name}",), document.flags.get("kernel.plugins", "none")
    return document, choose(wanted, settings.disable, settings.mode, configured=configured)


def list_plugins(args: Namespace) -> int:
    found = installed()
    enabled: dict[str, str] = {}
    problems: list[str] = []
    with collecting(problems):
        document, settings = _settings(args)
        enabled = explain.stated(settings.plugins, settings.disable, found, configured_plugins(document))
    rows = [
        {
            "name": name,
            "version": each.version,
            "distribution": each.dist,
            "standard": each.standard,
            "enabled": enabled.get(name, "unknown"),
        }
        for name, each in found.items()
    ]
    say(args, rows, _table)
    if found and not any(each.standard for each in found.values()):
        complain([NOTHING_STANDARD], "note")
    return complain(problems)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No plugins are installed. pip install routeiq brings the standard set."
    table = columns([list(rows[0]), *(list(map(words, row.values())) for row in rows)])
    legend = [text for word, text in LEGEND.items() if any(row["enabled"] == word for row in rows)]
    return "\n".join([table, *(["", *legend, "kernel plugins graph says which are"] if legend else [])])


def info(args: Namespace) -> int:
    found, manifest = pick(args.name)
    factory, config = verify.load(manifest)
    say(args, explain.info(found, manifest, config, verify.hooks(factory)), _info_text)
    return 0


def _info_text(data: Mapping[str, Any]) -> str:
    said = {name: value for name, value in data.items() if name != "settings" and value not in ("", [], None)}
    lines = [f"{name.replace('_', ' ') + ':':16} {words(value)}" for name, value in said.items()]
    for name, setting in data["settings"].items():
        more = "; ".join(f"{key}: {value}" if key != "help" else value for key, value in setting.items() if key not in ("type", "default"))
        lines.append(f"  plugins.{data['name']}.{name}: {setting['type']} = {setting['default']}{f'  ({more})' if more else ''}")
    return "\n".join(lines)


def graph(args: Namespace) -> int:
    _, chosen = _choose(args)
    edges = [asdict(edge) for edge in chosen.order.edges]
    data = {"order": list(chosen.order.names), "enabled": dict(chosen.reasons), "edges": edges, "notes": list(chosen.notes)}
    say(args, data, _graph_text)
    complain(chosen.notes, "note")
    return 0


def _graph_text(data: Mapping[str, Any]) -> str:
    """The order, each plugin with why it is enabled and why it comes after others."""
    lines = [] if data["order"] else ["No plugin is enabled."]
    for place, name in enumerate(data["order"], 1):
        lines.append(f"{place:3} {name}  ({data['enabled'][name]})")
        lines += [f"      after {edge['before']}: {edge['reason']}" for edge in data["edges"] if edge["after"] == name]
    return "\n".join(lines)


def check(args: Namespace) -> int:
    """Every plugin is checked even when another one fails."""
    names = None if args.name is None else [pick(args.name)[0].name]
    document, chosen = _choose(args, args.name)
    hooks: dict[str, list[str]] = {}
    problems: list[str] = []
    for name in names or chosen.order.names:
        with collecting(problems):
            attached = verify.check(chosen.manifests[name], partial(plugin_config, document, name))
            hooks[name] = [f"{each.hook}({', '.join(each.args)})" for each in attached]
    data = {"ok": not problems, "order": list(chosen.order.names), "hooks": hooks, "problems": problems}
    say(args, data, lambda data: "\n".join(f"{name}: {', '.join(found) or 'no hooks'}" for name, found in data["hooks"].items()))
    complain(chosen.notes, "note")
    return complain(problems)


def new(args: Namespace) -> int:
    from routeiq_sdk.scaffold import render

    taken = installed().get(args.name)
    if taken is not None:
        raise GraphError(f"{taken.dist} {taken.version} is installed and has a plugin named {args.name}: choose another name")
    target = args.into / args.name
    try:
        written = render(args.name, target)
    except (ValueError, OSError) as error:
        raise GraphError(str(error)) from error
    say(args, [str(path) for path in written], "\n".join)
    print(f'Next: pip install -e "{target}[test]", then kernel plugins check {args.name}', file=sys.stderr)
    return 0
