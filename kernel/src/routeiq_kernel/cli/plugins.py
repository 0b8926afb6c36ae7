"""`kernel plugins list | info | graph | check | new | why-parsed`. Heavy imports wait until their subcommand runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.flags import FLAGS, HELP, flags_from

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction

    from ..config.kernel import Settings
    from ..config.load import Document
    from ..graph.choose import Chosen

FLAGS_READ = ("config", "kernel.plugins", "kernel.mode", "kernel.state_dir")


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    parser = subparsers.add_parser("plugins", help="list, inspect, check and create plugins")
    commands = parser.add_subparsers(dest="plugins_command", required=True, metavar="COMMAND")
    listing = _command(commands, "list", list_plugins, "installed plugins; imports none of them")
    listing.add_argument("--long", action="store_true", help="read the manifests: summaries, and exactly which are enabled")
    _command(commands, "info", info, "what one plugin declares").add_argument("name", metavar="NAME")
    _command(commands, "graph", graph, "the order of the enabled plugins, with the reason for each edge")
    checking = _command(commands, "check", check, "verify manifests, order, constructors and hooks; starts nothing")
    checking.add_argument("name", metavar="NAME|PATH", nargs="?", help="one plugin or development file (default: the enabled ones)")
    creating = _command(commands, "new", new, "write a new plugin with README and tests", reads_config=False)
    creating.add_argument("name", metavar="NAME")
    creating.add_argument("--into", metavar="DIR", type=Path, default=Path(), help="the folder to write the folder NAME into")
    asking = _command(commands, "why-parsed", why_parsed, "which plugins make the running gateway parse answers")
    _flag(asking, "kernel.port")


def _command(
    commands: _SubParsersAction[ArgumentParser], name: str, run: Callable[[Namespace], int], help: str, reads_config: bool = True
) -> ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    for path in FLAGS_READ if reads_config else ():
        _flag(parser, path)
    parser.set_defaults(func=lambda args: _reporting(run, args))
    return parser


def _flag(parser: ArgumentParser, path: str) -> None:
    parser.add_argument(*FLAGS[path], dest=path, metavar=path.rpartition(".")[2].upper(), help=HELP.get(path, f"sets {path}"))


def _reporting(run: Callable[[Namespace], int], args: Namespace) -> int:
    from routeiq_sdk import ConfigError, GraphError

    try:
        return run(args)
    except (ConfigError, GraphError) as error:
        _complain(error.problems)
        return 1


def _complain(problems: Any, word: str = "error") -> None:
    for problem in problems:
        print(f"{word}: {problem}", file=sys.stderr)


def _print(args: Namespace, data: Any, text: Callable[[Any], str]) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False) if args.json else text(data))


def _settings(args: Namespace) -> tuple[Document, Settings]:
    from ..config.kernel import kernel_settings
    from ..config.load import load_here

    document = load_here(flags_from(args))
    return document, kernel_settings(document)


def _choose(args: Namespace, expression: Any = None) -> tuple[Document, Chosen]:
    from ..config.kernel import configured_plugins
    from ..graph.choose import choose

    document, settings = _settings(args)
    wanted = settings.plugins if expression is None else expression
    return document, choose(wanted, settings.disable, settings.mode, configured=configured_plugins(document))


def list_plugins(args: Namespace) -> int:
    from routeiq_sdk import ConfigError, GraphError

    from ..config.kernel import configured_plugins
    from ..graph import explain
    from ..graph.discover import installed

    listing = installed()
    problems: list[str] = []
    enabled, summaries = {}, None
    try:
        if args.long:
            summaries = _summaries(listing.found, problems)
            _, chosen = _choose(args)
            enabled = {name: "yes" if name in chosen.manifests else "no" for name in listing.found}
        else:
            document, settings = _settings(args)
            enabled = explain.stated(settings.plugins, settings.disable, listing.found, configured_plugins(document))
    except (ConfigError, GraphError) as error:
        problems += error.problems
    _print(args, explain.rows(listing.found, enabled, summaries), explain.text_table)
    _complain(listing.notes, "note")
    _complain(dict.fromkeys(problems))
    return 1 if problems else 0


def _summaries(found: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    from routeiq_sdk import GraphError

    from ..graph.discover import manifest

    summaries = {}
    for name, each in found.items():
        try:
            summaries[name] = manifest(each).summary
        except GraphError as error:
            problems += error.problems
    return summaries


def info(args: Namespace) -> int:
    from ..graph import explain
    from ..graph.choose import pick
    from ..graph.verify import hooks, load

    found, manifest = pick(args.name)
    factory, config = load(manifest)
    _print(args, explain.info(found, manifest, config, hooks(factory)), explain.info_text)
    return 0


def graph(args: Namespace) -> int:
    from ..graph import explain

    data = explain.graph(_choose(args)[1])
    _print(args, data, explain.graph_text)
    _complain(data["notes"], "note")
    return 0


def check(args: Namespace) -> int:
    """Every plugin is checked even when another one fails."""
    from routeiq_sdk import ConfigError, GraphError

    from ..config.plugins import plugin_config
    from ..graph import verify
    from ..graph.choose import pick

    names = None if args.name is None else [pick(args.name)[0].name]
    document, chosen = _choose(args, None if args.name is None else [args.name])
    hooks: dict[str, list[str]] = {}
    problems: list[str] = []
    for name in names or chosen.order.names:
        try:
            attached = verify.check(chosen.manifests[name], lambda cls, name=name: plugin_config(document, name, cls))  # type: ignore[misc]
            hooks[name] = [f"{each.hook}({', '.join(each.args)})" for each in attached]
        except (ConfigError, GraphError) as error:
            problems += error.problems
    data = {"ok": not problems, "order": list(chosen.order.names), "hooks": hooks, "problems": problems}
    _print(args, data, lambda data: "\n".join(f"{name}: {', '.join(found) or 'no hooks'}" for name, found in data["hooks"].items()))
    _complain(chosen.notes, "note")
    _complain(problems)
    return 1 if problems else 0


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
    _print(args, [str(path) for path in written], "\n".join)
    print(f'Next: pip install -e "{target}[test]", then kernel plugins check {args.name}', file=sys.stderr)
    return 0


def why_parsed(args: Namespace) -> int:
    from routeiq_sdk import GraphError

    from ..process.control import ask, socket_path

    document, settings = _settings(args)
    answer = ask(socket_path(settings.state_dir, settings.port if "kernel.port" in document.flags else None), {"op": "why-parsed"}, 5.0)
    if answer.get("ok") is False:
        raise GraphError(*answer.get("errors", ["the gateway refused to answer"]))
    _print(args, answer, _why_text)
    return 0


def _why_text(answer: Mapping[str, Any]) -> str:
    words = {"stream": "streamed answers", "whole": "whole answers"}
    forced = {kind: who for kind, who in answer.items() if isinstance(who, list) and who}
    lines = [f"{words.get(kind, kind)} are parsed because of {', '.join(who)}" for kind, who in forced.items()]
    return "\n".join(lines) or "No plugin makes answers be parsed: they leave as the provider's bytes where the formats are equal."
