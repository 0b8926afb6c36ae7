"""The command `kernel` (alias `routeiq`): its commands and their flags. A command's own module is imported when it runs, so that
`--help` and `--version` import neither the SDK nor the configuration."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentError, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import __version__
from ..config.flags import FLAGS, add_flags
from .command import complain

GROUP = "routeiq.commands"
EXIT_INTERRUPTED = 130
RUNNING = ("config", "kernel.state_dir", "kernel.port")
"""Flags that tell which running gateway is meant."""
CHOICE = ("config", "kernel.plugins", "kernel.mode", "kernel.state_dir")
"""Flags that tell which plugins are."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = joined(sys.argv[1:] if argv is None else list(argv))
    parser, commands = _parser()
    if not arguments or arguments[0] not in (*commands.choices, "--version"):
        _add_foreign(commands)
    try:
        args = parser.parse_args(arguments)
        return guarded(args.func, args)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return 1


def joined(arguments: Sequence[str]) -> list[str]:
    """`--plugins -x,+y` as `--plugins=-x,+y`: argparse takes a value that begins with a minus for an option."""
    out: list[str] = []
    for argument in arguments:
        if out and out[-1] == "--plugins" and argument[:1] == "-" and argument[:2] != "--":
            out[-1] += f"={argument}"
        else:
            out.append(argument)
    return out


def guarded(run: Callable[[Namespace], int], args: Namespace) -> int:
    """A mistake of the operator's is one line per problem, not a traceback."""
    from routeiq_sdk import RouteIQError

    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except RouteIQError as error:
        return complain(getattr(error, "problems", (error,)))


def _parser() -> tuple[ArgumentParser, Any]:
    parser = ArgumentParser(prog="kernel", description="RouteIQ: an LLM gateway made of plugins.")
    parser.add_argument("--version", action="version", version=f"routeiq {__version__}")
    commands = _group(parser)
    _command(commands, "serve", "serve.run", "run the gateway in the foreground", FLAGS, has_json=False)
    _command(commands, "reload", "control.reload", "read the configuration again: all workers change, or none does", RUNNING)
    _command(commands, "status", "control.status", "workers of the running gateway", RUNNING)
    _command(commands, "stop", "control.stop", "drain the running gateway and end it", RUNNING)
    _add_explain(commands)
    config = _group(commands.add_parser("config", help="check, show and explain the configuration"))
    _command(config, "check", "config.check", "say OK with warnings, or every problem (exit status 1)", FLAGS)
    _command(config, "show", "config.show", "the configuration in force, and where each value came from", FLAGS)
    _command(config, "schema", "config.schema", "JSON Schema of the kernel and the enabled plugins", FLAGS, has_json=False)
    explaining = _command(config, "explain", "config.explain", "value, source, type, default and meaning of a setting", FLAGS)
    explaining.add_argument("key", metavar="KEY", help="such as kernel.port, port, LITELLM_PORT, router_settings.timeout")
    _add_plugins(_group(commands.add_parser("plugins", help="list, inspect, check and create plugins")))
    _command(commands, "doctor", "doctor.run", "check the surroundings: limits, files, names, ports, configuration", FLAGS)
    commands.add_parser("version", help="the version of the kernel").set_defaults(func=_version)
    return parser, commands


def _add_explain(commands: Any) -> None:
    flags = ("config", "kernel.state_dir", "kernel.port", "kernel.plugins", "kernel.mode")
    parser = _command(commands, "explain", "explain.run", "what would become of a request, which is sent nowhere", flags)
    parser.add_argument("file", metavar="REQUEST", help="the body of a request; - reads it from stdin")
    parser.add_argument("--path", default="/v1/chat/completions", help="the endpoint, and so the format (default: %(default)s)")
    parser.add_argument("--method", default="POST", type=str.upper)
    parser.add_argument("--header", action="append", default=[], type=_header, metavar="'NAME: VALUE'", help="may be repeated")
    parser.add_argument("--offline", action="store_true", help="by the configuration alone, whether a gateway runs or not")


def _add_plugins(commands: Any) -> None:
    _command(commands, "list", "plugins.list_plugins", "installed plugins; imports none of them", CHOICE)
    _command(commands, "info", "plugins.info", "what one plugin declares", CHOICE).add_argument("name", metavar="NAME")
    _command(commands, "graph", "plugins.graph", "the order of the enabled plugins, with the reason for each edge", CHOICE)
    checking = _command(commands, "check", "plugins.check", "verify manifests, order, constructors and hooks; starts nothing", CHOICE)
    checking.add_argument("name", metavar="NAME|PATH", nargs="?", help="one plugin or development file (default: the enabled ones)")
    creating = _command(commands, "new", "plugins.new", "write a new plugin with README and tests")
    creating.add_argument("name", metavar="NAME")
    creating.add_argument("--into", metavar="DIR", type=Path, default=Path(), help="the folder to write the folder NAME into")
    _command(commands, "why-parsed", "control.why_parsed", "which plugins make the running gateway parse answers", RUNNING)


def _group(parser: ArgumentParser) -> Any:
    return parser.add_subparsers(dest="command", required=True, metavar="COMMAND")


def _command(group: Any, name: str, function: str, help: str, flags: Iterable[str] = (), has_json: bool = True) -> ArgumentParser:
    """`function`: `module.name` in this package."""
    parser: ArgumentParser = group.add_parser(name, help=help, description=help)
    if has_json:
        parser.add_argument("--json", action="store_true", help="machine-readable output")
    add_flags(parser, flags)
    parser.set_defaults(func=partial(_run, function))
    return parser


def _run(function: str, args: Namespace) -> int:
    module, _, name = function.partition(".")
    return int(getattr(import_module(f".{module}", __package__), name)(args))


def _version(args: Namespace) -> int:
    print(__version__)
    return 0


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ArgumentTypeError(f"expected 'name: value', not {text!r}")
    return name.strip(), value.strip()


def _add_foreign(commands: Any) -> None:
    """Commands of installed packages: entry points whose value is a function `add_parser(subparsers)`."""
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            point.load()(commands)
        except (ImportError, AttributeError, TypeError, ValueError, ArgumentError) as error:
            complain([f"command {point.name} of {point.value} cannot be loaded: {error}"], "warning")


if __name__ == "__main__":
    sys.exit(main())
