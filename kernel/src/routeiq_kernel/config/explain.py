"""The configuration in force, as rows: what each setting is, where its value came from and what it may be."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from attrs import NOTHING, Factory, frozen
from routeiq_sdk import Secret

from .load import REFERENCE, Document
from .secrets import MASK, masked
from .strict import Leaf, leaves, lookup, names


@frozen
class Row:
    """`value` and `default` are plain and hold no secret. `keys` are variables and LiteLLM keys that set it too."""

    path: str
    value: Any
    source: str
    type: str = ""
    default: Any = None
    help: str = ""
    env: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def rows(document: Document, configs: Mapping[str, Any]) -> list[Row]:
    """`configs`: section (`kernel`, `plugins.quota`) → its config object. Everything else comes as it stands in the file."""
    typed = [_row(document, config, leaf, section) for section, config in configs.items() for leaf in leaves(type(config), section)]
    rest = {name: value for name, value in document.data.items() if name not in ("kernel", "plugins")}
    plugins = {name: value for name, value in document.section("plugins").items() if f"plugins.{name}" not in configs}
    return [*typed, *_untyped(document, masked(rest), ""), *_untyped(document, masked(plugins), "plugins")]


def _row(document: Document, config: Any, leaf: Leaf, section: str) -> Row:
    *parents, name = leaf.path.removeprefix(f"{section}.").split(".")
    value, default = getattr(reduce(getattr, parents, config), leaf.field.name), leaf.field.default
    default = default.factory() if isinstance(default, Factory) and not default.takes_self else default  # type: ignore[arg-type]
    found = lookup(document, leaf.path, leaf.field, document.get(leaf.path.rpartition(".")[0]) or {})
    source = "default" if value == default else "derived"
    if found is not None:
        source = found.where or document.where(found.path)
        if isinstance(found.value, str) and found.value.startswith(REFERENCE):
            source = f"environment {found.value.removeprefix(REFERENCE)}, {source}"
    default = "required" if default is NOTHING else _plain(default, name)
    settings = tuple(names(leaf.field, "env")), tuple(names(leaf.field, "key"))
    return Row(leaf.path, _plain(value, name), source, describe(leaf.kind), default, leaf.field.metadata.get("help", ""), *settings)


def _untyped(document: Document, value: Any, path: str) -> Iterator[Row]:
    if value and isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _untyped(document, item, f"{path}.{key}" if path else str(key))
    elif path != "plugins":
        yield Row(path, value, document.where(path))


def _plain(value: Any, name: str) -> Any:
    plain = msgspec.to_builtins(value, enc_hook=lambda item: MASK if isinstance(item, Secret) else str(item))
    return masked(plain, "" if isinstance(plain, int | float) else name)


def describe(kind: Any) -> str:
    """A type in the words of the documentation: `int >= 1`, `development | production`, `list of str`."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        meta = args[1]
        signs = {">=": meta.ge, ">": meta.gt, "<=": meta.le, "<": meta.lt, "matching": meta.pattern}
        return " ".join([describe(args[0]), *(f"{sign} {limit}" for sign, limit in signs.items() if limit is not None)])
    if origin in (Union, types.UnionType):
        return " | ".join(describe(arm) for arm in args)
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin in (dict, Mapping):
        return f"mapping of {describe(args[1])}"
    if origin is not None and args:
        return f"list of {describe(args[0])}"
    return {Secret: "secret", Path: "path", type(None): "null", Any: "any"}.get(kind, getattr(kind, "__name__", str(kind)))


def find(table: list[Row], key: str) -> list[Row]:
    """The setting called `key` by its path, its last part, a variable or a LiteLLM key; or all rows of a section."""
    exact = [row for row in table if row.path == key or key in row.env or key in row.keys]
    below = [row for row in table if row.path.startswith(f"{key}.")]
    return exact or below or [row for row in table if row.type and row.path.endswith(f".{key}")]
