"""JSON as this format reads and writes it: every object's names in camelCase or snake_case, lone surrogates included.

`Fields` is one object of a request or an answer. Its getters raise `ClientError` with the place of a wrong type; null is absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.surrogates import dump as write
from routeiq_sdk.wire import mend

NAME = "gemini"
FAMILY = "google"
"""Whose thought signatures these are, whichever service speaks the format."""
T = TypeVar("T")
_SNAKE = re.compile(r"(?<=[A-Za-z0-9])_([A-Za-z0-9])")
_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_string = msgspec.json.Decoder(str)
_number = msgspec.json.Decoder(int | float)
_count = msgspec.json.Decoder(int | float | str)
_integer = msgspec.json.Decoder(int)
_boolean = msgspec.json.Decoder(bool)
_strings = msgspec.json.Decoder(list[str])
MAX_COUNT = 2**53


def camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def read(data: bytes | Raw, decoder: msgspec.json.Decoder[T], place: str, expected: str) -> T:
    try:
        return decoder.decode(data)
    except RecursionError:
        raise ClientError(f"{place or 'body'}: nested too deeply", param=place or None) from None
    except msgspec.ValidationError:
        raise ClientError(f"{place or 'body'}: expected {expected}", param=place or None) from None
    except msgspec.DecodeError as error:
        mended = mend(bytes(data))
        if mended != bytes(data):
            return read(mended, decoder, place, expected)
        raise ClientError(f"{place or 'body'}: not valid JSON: {error}", param=place or None) from None


def items(raw: bytes | Raw, place: str) -> list[Raw]:
    return read(raw, _items, place, "array")


class Fields:
    """`names` are camelCase; the values stay raw JSON."""

    __slots__ = ("names", "place")
    strict = True

    def __init__(self, raw: bytes | Raw, place: str = "") -> None:
        self.place = place
        found = read(raw, _members, place, "object")
        self.names: dict[str, Raw] = {camel(name): value for name, value in found.items()} if any("_" in name for name in found) else found

    def at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def raw(self, name: str) -> bytes | None:
        value = self.names.get(name)
        if value is None:
            return None
        found = bytes(value)
        return None if found == b"null" else found

    def _read(self, name: str, decoder: msgspec.json.Decoder[T], expected: str) -> T | None:
        raw = self.raw(name)
        try:
            return None if raw is None else read(raw, decoder, self.at(name), expected)
        except ClientError:
            if self.strict:
                raise
            return None

    def text(self, name: str) -> str | None:
        return self._read(name, _string, "str")

    def flag(self, name: str) -> bool | None:
        return self._read(name, _boolean, "bool")

    def number(self, name: str) -> str | None:
        """In the client's own spelling."""
        raw = self.raw(name)
        if raw is None:
            return None
        read(raw, _number, self.at(name), "number")
        return raw.decode()

    def count(self, name: str) -> int | None:
        """An integer, which this format also writes as a string."""
        raw = self.raw(name)
        if raw is None:
            return None
        given = read(raw, _count, self.at(name), "int")
        try:
            value = int(given) if not isinstance(given, str) or len(given) < 20 else MAX_COUNT + 1
        except (ValueError, OverflowError):
            value = MAX_COUNT + 1
        if abs(value) > MAX_COUNT:
            raise ClientError(f"{self.at(name)}: expected int", param=self.at(name))
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        return tuple(self._read(name, _strings, "array of str") or ())

    def object(self, name: str) -> Fields | None:
        raw = self.raw(name)
        try:
            return None if raw is None else type(self)(raw, self.at(name))
        except ClientError:
            if self.strict:
                raise
            return None

    def list(self, name: str) -> list[Raw]:
        return self._read(name, _items, "array") or []

    def rest(self, known: Iterable[str]) -> dict[str, bytes]:
        left = self.names.keys() - set(known)
        return {name: bytes(value) for name, value in self.names.items() if name in left}


class Loose(Fields):
    """Of an answer: a member of a wrong type is as if it were absent."""

    __slots__ = ()
    strict = False

    def integer(self, name: str) -> int | None:
        return self._read(name, _integer, "int")


def is_object(raw: bytes | Raw) -> bool:
    try:
        _members.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def sse(value: Any) -> bytes:
    return b"data: %b\n\n" % write(value)
