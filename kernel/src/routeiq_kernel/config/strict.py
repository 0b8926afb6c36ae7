"""Plain values → attrs classes. Nothing is coerced and every problem is reported, each with path, value and place.

Where a field's value comes from: flag > environment > file > LiteLLM key > default. Text from the environment, and from
LiteLLM's own sections, is read by the field's type (`"4001"` for an int, `a,b` for a list); values of our sections must have it.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from enum import EnumType
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec
from attrs import NOTHING, frozen
from routeiq_sdk import ConfigError, Secret

from .load import REFERENCE, Document
from .problems import nearest
from .secrets import is_secret

T = TypeVar("T")
EMPTY = Document()
BOOLS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
LISTS: dict[Any, Any] = {tuple: tuple, list: list, set: set, frozenset: frozenset, Set: frozenset, Sequence: tuple, Collection: tuple}


@frozen
class Found:
    """`text`: read it by the field's type. `where` names the variable, else `path` is its place in the file."""

    value: Any
    path: str
    where: str | None = None
    text: bool = False


@frozen
class Leaf:
    """One setting, nested ones included."""

    path: str
    kind: Any
    field: Any


def structure(cls: type[T], value: Any, path: str, document: Document) -> T:
    """Raises `ConfigError` with all problems."""
    reader = Reader(document)
    built = reader.build(cls, value, path)
    if reader.problems:
        raise ConfigError(*reader.problems)
    return built  # type: ignore[no-any-return]


def plugin_config(document: Document, name: str, cls: type[T]) -> T:
    """Raises `ConfigError` with all problems of the section."""
    return structure(cls, document.section("plugins").get(name), f"plugins.{name}", document)


def used(classes: Iterable[type]) -> tuple[set[str], set[str]]:
    """The LiteLLM keys and the environment variables that these config classes read."""
    found = [leaf for cls in classes for leaf in leaves(cls, "")]
    return {key for leaf in found for key in names(leaf.field, "key")}, {name for leaf in found for name in names(leaf.field, "env")}


def fields(cls: type) -> dict[str, tuple[Any, Any]]:
    """Setting name → attrs field and type."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.alias or field.name: (field, hints.get(field.name, Any)) for field in attrs.fields(cls) if field.init}


def leaves(cls: type, path: str) -> Iterator[Leaf]:
    for name, (field, kind) in fields(cls).items():
        if attrs.has(kind):
            yield from leaves(kind, f"{path}.{name}")
        else:
            yield Leaf(f"{path}.{name}", kind, field)


def lookup(document: Document, path: str, field: Any, section: Mapping[str, Any]) -> Found | None:
    """What sets a field, or None for its default. An empty variable counts as unset."""
    if path in document.flags:
        return Found(document.flags[path], path, text=isinstance(document.flags[path], str))
    for name in names(field, "env"):
        if document.environ.get(name):
            return Found(document.environ[name], path, f"environment {name}", text=True)
    name = path.rpartition(".")[2]
    if name in section:
        return Found(section[name], path)
    for key in names(field, "key"):
        value = document.get(key)
        if value is not None:
            return Found(value, key, text=isinstance(value, str))
    return None


def names(field: Any, what: str) -> list[str]:
    """A field's variables (`env`) or LiteLLM keys (`key`): several are separated by spaces, the first that is set wins."""
    return (field.metadata.get(what) or "").split()


class Reader:
    """Builds values and collects problems; `NOTHING` stands for what could not be built."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []

    def problem(self, path: str, text: str, where: str | None = None) -> Any:
        self.problems.append(f"{path}: {text} ({where or self.document.where(path)})")
        return NOTHING

    def mapping(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if value is not None:
            self.problem(path, f"expected a mapping, got {type(value).__name__}")
        return {}

    def build(self, cls: type, value: Any, path: str, layers: bool = True) -> Any:
        """`layers`: flags and variables may set the fields; not so inside lists."""
        before = len(self.problems)
        value = self.mapping(value, path)
        known = fields(cls)
        for name in value:
            if name not in known:
                self.problem(f"{path}.{name}", f"unknown key{nearest(name, known)}")
        built = {name: self.field(field, kind, value, f"{path}.{name}", layers) for name, (field, kind) in known.items()}
        if len(self.problems) > before:
            return NOTHING
        try:
            return cls(**{name: item for name, item in built.items() if item is not NOTHING})
        except ConfigError as error:
            self.problems += error.problems
        except (ValueError, TypeError) as error:
            text = str(error.args[0]) if error.args else type(error).__name__
            named = [name for name, (field, _) in known.items() if field in error.args or f"'{name}'" in text]
            text = "not a valid value" if any(is_secret(name, "") for name in named) else text
            self.problem(".".join([path, *named[:1]]), text)
        return NOTHING

    def field(self, field: Any, kind: Any, section: Mapping[str, Any], path: str, layers: bool) -> Any:
        found = lookup(self.document if layers else EMPTY, path, field, section)
        if attrs.has(kind) and (found is None or not found.text):
            return self.build(kind, found.value if found else None, path, layers)
        if found is not None:
            return self.convert(kind, found.value, found.path, text=found.text, where=found.where)
        if field.default is NOTHING:
            variables = " or ".join(names(field, "env"))
            self.problem(path, f"required{f'; it may also be set by {variables} in the environment' if variables else ''}")
        return NOTHING

    def convert(self, kind: Any, value: Any, path: str, *, text: bool = False, where: str | None = None, hide: bool = False) -> Any:
        if isinstance(value, str) and value.startswith(REFERENCE) and not where:
            name = value.removeprefix(REFERENCE)
            value, text, hide, where = self.document.environ.get(name), True, True, f"environment {name}, {self.document.where(path)}"
            if not value:
                return self.problem(path, f"the environment variable {name} is not set")
        kind, bare = _without_none(kind, value)
        if text and isinstance(value, str):
            value, text = _from_text(bare, value)
        hide = hide or "Secret" in repr(kind) or is_secret(path.rpartition(".")[2], value)
        item = _item_type(bare, value)
        if item is not None and isinstance(value, list):
            built = [self.convert(item, each, f"{path}.{index}", text=text, where=where, hide=hide) for index, each in enumerate(value)]
            return NOTHING if NOTHING in built else LISTS[get_origin(bare) or list](built)
        if item is not None:
            entries = {key: self.convert(item, each, f"{path}.{key}", where=where, hide=hide) for key, each in value.items()}
            return NOTHING if NOTHING in entries.values() else entries
        if attrs.has(bare):
            before = len(self.problems)
            built = self.build(bare, value, path, layers=False)
            if isinstance(value, dict) and isinstance(value.get("name"), str):
                self.problems[before:] = [f"{problem}, in {value['name'][:60]!r}" for problem in self.problems[before:]]
            return built
        try:
            return msgspec.convert(value, kind, strict=True, dec_hook=_custom)
        except msgspec.ValidationError as error:
            return self.problem(path, _expectation(kind, value, str(error), hide), where)


def _item_type(kind: Any, value: Any) -> Any:
    """What each item of a list or value of a mapping must be; None where msgspec looks at the whole."""
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(value, list) and origin in LISTS:
        return args[0] if origin is not tuple or args[1:] == (...,) else None
    if isinstance(value, dict) and origin in (dict, Mapping):
        return args[1] if args[0] is str else None
    return Any if isinstance(value, list | dict) and kind in (Any, type(value)) else None


def _without_none(kind: Any, value: Any) -> tuple[Any, Any]:
    """The type with `| None` and one-armed unions removed, and the same without `Annotated`."""
    if get_origin(kind) in (Union, types.UnionType):
        arms = [arm for arm in get_args(kind) if arm is not type(None)]
        if len(arms) == 1 and value is not None:
            kind = arms[0]
        elif isinstance(value, list) and str in arms:  # such as str | tuple[str, ...]
            kind = next((arm for arm in arms if get_origin(arm) in LISTS), kind)
    return kind, get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _from_text(kind: Any, text: str) -> tuple[Any, bool]:
    """The value that a variable's text stands for, and whether its items are text again. What does not fit stays text."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in LISTS or origin in (dict, Mapping) or attrs.has(kind):
        if text.lstrip()[:1] in ("[", "{"):
            with suppress(msgspec.DecodeError):
                return msgspec.json.decode(text), False
        return ([part.strip() for part in text.split(",") if part.strip()], True) if origin in LISTS else (text, False)
    if kind is bool:
        return BOOLS.get(text.strip().lower(), text), False
    if kind in (int, float):
        with suppress(ValueError):
            value = kind(text)
            return (value if value - value == 0 else text), False
    if origin is Literal and text not in args and text.lower() in args:
        return text.lower(), False
    return text, False


def _custom(kind: Any, value: Any) -> Any:
    if kind in (Secret, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `{'str' if kind in (Secret, Path) else getattr(kind, '__name__', kind)}`")


def _expectation(kind: Any, value: Any, message: str, hide: bool) -> str:
    """msgspec's message in the words of YAML, with the value unless it is a secret."""
    values = get_args(kind) if get_origin(kind) is Literal else kind if isinstance(kind, EnumType) else ()
    options = [str(getattr(option, "value", option)) for option in values]
    wanted, _, got = message.partition(" - at ")[0].replace("`", "").partition(", got ")
    wanted = f"one of {', '.join(options)}" if options else wanted.removeprefix("Expected ")
    words = {"array": "list", "object": "mapping", "NoneType": "null", "dict": "mapping"}
    got, wanted = got or type(value).__name__, wanted.replace("array", "list").replace("object", "mapping")
    shown = "" if hide or not isinstance(value, str | int | float) else f" {value[:60]!r}" if isinstance(value, str) else f" {value}"
    hint = " (write true or false)" if kind is bool and shown else ""
    close = nearest(value, options) if isinstance(value, str) and not hide else ""
    return f"expected {wanted}, got {words.get(got, got)}{shown}{hint}{close}"
