"""`kernel plugins list | info | graph | check | new | why-parsed`. Heavy imports wait until their subcommand runs."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.flags import flags_from
from . import control
from .command import columns, command, complain, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.kernel import Settings
    from ..config.load import Document
    from ..graph.choose import Chosen

FLAGS_READ = ("config", "kernel.plugins", "kernel.mode", "kernel.state_dir")
LEGEND = {
    "default": "default: on if its manifest says so",
    "if needed": "if needed: on if another plugin requires its service",
}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("plugins", help="list, inspect, check and create plugins")
    commands = parser.add_subparsers(dest="plugins_command", required=True, metavar="COMMAND")
    listing = command(commands, "list", list_plugins, "installed plugins; imports none of them", FLAGS_READ)
    listing.add_argument("--long", action="store_true", help="read the manifests: summaries, and exactly which are enabled")
    command(commands, "info", info, "what one plugin declares", FLAGS_READ).add_argument("name", metavar="NAME")
    command(commands, "graph", graph, "the order of the enabled plugins, with the reason for each edge", FLAGS_READ)
    checking = command(commands, "check", check, "verify manifests, order, constructors and hooks; starts nothing", FLAGS_READ)
    checking.add_argument("name", metavar="NAME|PATH", nargs="?", help="one plugin or development file (default: the enabled ones)")
    creating = command(commands, "new", new, "write a new plugin with README and tests")
    creating.add_argument("name", metavar="NAME")
    creating.add_argument("--into", metavar="DIR", type=Path, default=Path(), help="the folder to write the folder NAME into")
    control.add_verb(commands, "why-parsed", control.why_parsed, "which plugins make the running gateway parse answers")


def _settings(args: Namespace) -> tuple[Document, Settings]:
    from ..config.kernel import kernel_settings
    from ..config.load import load_here

    document = load_here(flags_from(args))
    return document, kernel_settings(document)


def _choose(args: Namespace, name: str | None = None) -> tuple[Document, Chosen]:
    """The configured plugins; for one plugin, it alone with the providers it needs, beside what `--plugins` names."""
    from ..config.kernel import configured_plugins
    from ..graph.choose import choose

    document, settings = _settings(args)
    wanted, configured = settings.plugins, configured_plugins(document)
    if name is not None:
        wanted, configured = (f"+{name}",), document.flags.get("kernel.plugins", "none")
    return document, choose(wanted, settings.disable, settings.mode, configured=configured)


def list_plugins(args: Namespace) -> int:
    from ..config.kernel import configured_plugins
    from ..config.problems import collecting
    from ..graph import explain
    from ..graph.discover import installed, manifest

    listing = installed()
    found = listing.found
    enabled: dict[str, str] = {}
    summaries = dict.fromkeys(found, "") if args.long else {}
    problems: list[str] = []
    for name in summaries:
        with collecting(problems):
            summaries[name] = manifest(found[name]).summary
    with collecting(problems):
        if args.long:
            chosen = _choose(args)[1].manifests
            enabled = {name: "yes" if name in chosen else "no" for name in found}
        else:
            document, settings = _settings(args)
            enabled = explain.stated(settings.plugins, settings.disable, found, configured_plugins(document))
    rows = [
        {"name": name, "version": each.version, "distribution": each.dist, "standard": each.standard}
        | {"enabled": enabled.get(name, "unknown")}
        | ({"summary": summaries[name]} if args.long else {})
        for name, each in found.items()
    ]
    say(args, rows, _table)
    complain(listing.notes, "note")
    return complain(problems)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No plugins are installed. pip install routeiq brings the standard set."
    table = columns([list(rows[0]), *([_word(value) for value in row.values()] for row in rows)])
    legend = [LEGEND[word] for word in LEGEND if any(row["enabled"] == word for row in rows)]
    return "\n".join([table, *(["", *legend, "kernel plugins list --long reads the manifests and says yes or no"] if legend else [])])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def info(args: Namespace) -> int:
    from ..graph import explain
    from ..graph.choose import pick
    from ..graph.verify import hooks, load

    found, manifest = pick(args.name)
    factory, config = load(manifest)
    say(args, explain.info(found, manifest, config, hooks(factory)), _info_text)
    return 0


def _info_text(data: Mapping[str, Any]) -> str:
    said = {name: value for name, value in data.items() if name != "settings" and value not in ("", [], None)}
    lines = [f"{name.replace('_', ' ') + ':':16} {_word(value)}" for name, value in said.items()]
    for name, setting in data["settings"].items():
        more = "; ".join(f"{key}: {value}" if key != "help" else value for key, value in setting.items() if key not in ("type", "default"))
        lines.append(f"  plugins.{data['name']}.{name}: {setting['type']} = {setting['default']}{f'  ({more})' if more else ''}")
    return "\n".join(lines)


def graph(args: Namespace) -> int:
    from attrs import asdict

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
    from functools import partial

    from ..config.plugins import plugin_config
    from ..config.problems import collecting
    from ..graph import verify
    from ..graph.choose import pick

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
    from routeiq_sdk import GraphError
    from routeiq_sdk.scaffold import render

    from ..graph.discover import installed

    taken = installed().found.get(args.name)
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
