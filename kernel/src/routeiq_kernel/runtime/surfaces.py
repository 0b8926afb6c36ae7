"""The endpoints of a graph: exact paths by one lookup, then patterns, the longest literal text first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from routeiq_sdk import GraphError, Surface
from routeiq_sdk.wire import Headers

PART = re.compile(r"\{(\w+)(:path)?\}")
NO_PARAMS: Mapping[str, str] = {}
Found = tuple[Surface, Mapping[str, str]]


class Surfaces:
    """`methods` of each exact path tell a wrong method from an unknown path."""

    def __init__(self, surfaces: Sequence[Surface], base_path: str, codecs: Mapping[str, Any], owner: Mapping[int, str]) -> None:
        self.base = base_path.rstrip("/")
        table: dict[tuple[str, str], tuple[Surface, ...]] = {}
        for surface in surfaces:
            if surface.format not in codecs and (surface.kind in ("forward", "socket") or surface.handler):
                continue
            if surface.format not in codecs:
                raise GraphError(f"plugin {owner[id(surface)]}: surface {surface.path} has the unknown format {surface.format!r}")
            key = (surface.method, self.base + surface.path)
            table[key] = tuple(sorted((*table.get(key, ()), surface), key=lambda each: each.match is None))
            defaults = [each for each in table[key] if each.match is None]
            if len(defaults) > 1:
                names = sorted({owner[id(each)] for each in defaults})
                raise GraphError(f"{key[0]} {key[1]} is served by {' and '.join(names)}: disable one, or give one a `match`")
        self._exact = {key: found for key, found in table.items() if not _is_pattern(*key)}
        patterns = sorted((key for key in table if _is_pattern(*key)), key=lambda key: (-len(PART.sub("", key[1])), key))
        self._patterns = [(method, path.partition("{")[0], _compiled(path), table[method, path]) for method, path in patterns]

    def __bool__(self) -> bool:
        return bool(self._exact or self._patterns)

    def find(self, method: str, path: str, headers: Headers, query: str) -> Found | None:
        exact = self._exact.get((method, path))
        if exact:
            if exact[0].match is None:
                return exact[0], NO_PARAMS
            chosen = _matching(exact, headers, query)
            if chosen is not None:
                return chosen, NO_PARAMS
        wanted = (method,) if method == "WEBSOCKET" else (method, "*")
        for each, start, pattern, surfaces in self._patterns:
            if each in wanted and path.startswith(start) and (found := pattern.fullmatch(path)):
                chosen = _matching(surfaces, headers, query)
                if chosen is not None:
                    return chosen, found.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that the path takes; none for an unknown path."""
        known = {method for method, each in self._exact if each == path}
        return sorted(known | {method for method, _, pattern, _ in self._patterns if pattern.fullmatch(path)})


def _is_pattern(method: str, path: str) -> bool:
    return "{" in path or method == "*"


def _matching(surfaces: Sequence[Surface], headers: Headers, query: str) -> Surface | None:
    return next((each for each in surfaces if each.match is None or each.match(headers, query)), None)


def _compiled(path: str) -> re.Pattern[str]:
    out, at = "", 0
    for part in PART.finditer(path):
        out += re.escape(path[at : part.start()]) + f"(?P<{part[1]}>{'.+' if part[2] else '[^/]+'})"
        at = part.end()
    return re.compile(out + re.escape(path[at:]), re.DOTALL)
