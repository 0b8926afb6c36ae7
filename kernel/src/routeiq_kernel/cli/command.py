"""What the commands share: `--json` and the flags, results on stdout, problems on stderr. Imports nothing heavy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config.flags import add_flags

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def command(
    subparsers: Any, name: str, run: Callable[[Namespace], int], help: str, flags: Iterable[str] = (), has_json: bool = True
) -> ArgumentParser:
    parser: ArgumentParser = subparsers.add_parser(name, help=help, description=help)
    if has_json:
        parser.add_argument("--json", action="store_true", help="machine-readable output")
    add_flags(parser, flags)
    parser.set_defaults(func=partial(guarded, run))
    return parser


def guarded(run: Callable[[Namespace], int], args: Namespace) -> int:
    """A mistake of the operator's is one line per problem, not a traceback."""
    from routeiq_sdk import RouteIQError

    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except RouteIQError as error:
        return complain(getattr(error, "problems", (error,)))


def complain(problems: Collection[object], word: str = "error") -> int:
    """The exit status: 1 if there is any problem."""
    for problem in problems:
        print(f"{word}: {problem}", file=sys.stderr)
    return 1 if problems else 0


def say(args: Namespace, data: Any, text: Callable[[Any], str]) -> None:
    said = json.dumps(data, indent=2, ensure_ascii=False) if args.json else text(data)
    if said:
        print(said)


def columns(rows: Iterable[Sequence[str]]) -> str:
    """A table: every column as wide as its widest cell."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
