"""What the commands share: results on stdout, as JSON where `--json` says so, and problems on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace


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


def words(value: Any) -> str:
    """A value as a person would say it: yes or no, and lists with commas."""
    if isinstance(value, dict):
        value = [f"{name.replace('_', ' ')}: {each}" for name, each in value.items() if each is not None]
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
