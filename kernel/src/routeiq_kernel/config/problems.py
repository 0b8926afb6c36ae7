"""Mistakes of the operator's: collected rather than raised one by one, each with the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from routeiq_sdk import ConfigError, GraphError


@contextmanager
def collecting(problems: list[str]) -> Iterator[None]:
    """What is raised inside is added, unless it was said before; whoever goes on checks `problems`."""
    try:
        yield
    except (ConfigError, GraphError) as error:
        problems += (problem for problem in error.problems if problem not in problems)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint at the known name that is nearest, or "" when none is near."""
    close = get_close_matches(word, list(known), 1, cutoff)
    return f"; did you mean {close[0]}?" if close else ""
