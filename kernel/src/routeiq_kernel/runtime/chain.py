"""Compile hook implementations into chains: tuples of cells in plugin order, called by `guard`.

An implementation names only the arguments it needs, in any order; compiling picks them once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routeiq_sdk import Manifest
from routeiq_sdk.specs import HOOKS

from .meter import Cell


class Chains:
    """One attribute per hook, each a tuple of cells; an empty one costs one truth test."""

    __slots__ = tuple(HOOKS)

    def __init__(self, cells: Mapping[str, Sequence[Cell]]) -> None:
        for name in HOOKS:
            setattr(self, name, tuple(cells.get(name, ())))

    def __getattr__(self, name: str) -> tuple[Cell, ...]:
        raise AttributeError(name)


def compile_cell(manifest: Manifest, hook: str, function: Callable[..., Any], names: Sequence[str]) -> Cell:
    """`names`: the arguments that `function` takes, in its own order."""
    spec = HOOKS[hook]
    return Cell(manifest, hook, spec.kind, pick(function, [spec.args.index(name) for name in names], len(spec.args)))


def pick(function: Callable[..., Any], places: Sequence[int], total: int) -> Callable[..., Any]:
    """A callable that takes all `total` arguments and hands on those at `places`. Fixed signatures: `*args` costs a third of a
    call, and this runs per plugin and hook."""
    wanted = tuple(places)
    if wanted == tuple(range(total)):
        return function
    if wanted == () and total == 2:
        return lambda a, b: function()
    if wanted == (0,) and total == 2:
        return lambda a, b: function(a)
    if wanted == (1,) and total == 2:
        return lambda a, b: function(b)
    return lambda *args: function(*[args[place] for place in wanted])
