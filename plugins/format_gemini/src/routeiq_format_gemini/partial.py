"""Arguments that come in pieces: JSON paths with values → one object, put together only when it is whole."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Raw

from .wire import Fields, write

MAX_DEPTH = 64
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]|\[['\"]([^'\"\]]*)['\"]\]")


class Pieces(list[str]):
    """A string that is still growing."""


class Partial:
    """One call's arguments. A piece that fits nowhere is counted in `dropped`."""

    __slots__ = ("_tree", "dropped")

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        self.dropped = 0

    def add(self, raw: bytes | Raw) -> None:
        """Raises `ClientError` for a wrong type."""
        piece = Fields(raw, "partialArgs")
        steps = _steps(piece.text("jsonPath") or "")
        value = _value(piece)
        if not steps or not _put(self._tree, steps, value):
            self.dropped += 1

    def text(self) -> str:
        return write(_whole(self._tree)).decode("utf-8", "replace")


def _value(piece: Fields) -> Any:
    text = piece.text("stringValue")
    if text is not None:
        return Pieces([text])
    for name in ("numberValue", "boolValue"):
        raw = piece.raw(name)
        if raw is not None:
            return Raw(raw)
    return None if "nullValue" in piece.names else Pieces()


def _steps(path: str) -> list[str | int]:
    """[] for what is no path, or one too deep."""
    steps: list[str | int] = []
    at = 1
    while path.startswith("$") and at < len(path) and len(steps) < MAX_DEPTH:
        found = _STEP.match(path, at)
        if found is None:
            return []
        steps.append(int(found[2]) if found[2] is not None else found[1] if found[1] is not None else found[3])
        at = found.end()
    return steps if at >= len(path) else []


def _put(tree: Any, steps: list[str | int], value: Any) -> bool:
    """Whether the value found its place: a list grows by one at its end only."""
    for at, step in enumerate(steps):
        last = at + 1 == len(steps)
        if isinstance(step, int) is not isinstance(tree, list) or not isinstance(tree, dict | list):
            return False
        old = _get(tree, step)
        if isinstance(step, int) and step > len(tree):
            return False
        if last and isinstance(old, Pieces) and isinstance(value, Pieces):
            old.extend(value)
            return True
        made = value if last else old if isinstance(old, dict | list) and not isinstance(old, Pieces) else _made(steps[at + 1])
        if isinstance(tree, list) and step == len(tree):
            tree.append(made)
        else:
            tree[step] = made
        tree = made
    return True


def _get(tree: Any, step: str | int) -> Any:
    if isinstance(tree, list):
        return tree[step] if isinstance(step, int) and step < len(tree) else None
    return tree.get(step)


def _made(following: str | int) -> Any:
    return [] if isinstance(following, int) else {}


def _whole(value: Any) -> Any:
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
