"""Which tokenizer a model has, and the vocabularies themselves: o200k_base and cl100k_base, which the package bpe-openai carries.

A vocabulary costs 30 to 70 MB and up to 0.2 s, so it is loaded when something is first counted with it. Where the package has no
build for the machine, everything is an estimate by the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.resources import files
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
from msgspec import Struct

Count = Callable[[str], int]
BYTES_PER_TOKEN = 4
MAX_NAME = 200


class Family(Struct, frozen=True):
    match: str
    encoding: str
    factor: float | None = None


class Families(Struct, frozen=True):
    families: list[Family]


class Vocabularies:
    def __init__(self) -> None:
        self._loaded: dict[str, Count | None] = {}
        self._lock = Lock()

    @cached_property
    def _families(self) -> list[tuple[re.Pattern[str], Family]]:
        data = files("routeiq_models").joinpath("data/tokenizers.json").read_bytes()
        return [(re.compile(each.match), each) for each in msgspec.json.decode(data, type=Families).families]

    def family(self, model: str) -> Family:
        name = model[:MAX_NAME].lower()
        return next(family for pattern, family in self._families if pattern.search(name))

    def count(self, encoding: str) -> Count | None:
        """Counts the tokens of a text. None where the vocabulary cannot be had. Any thread may ask."""
        if encoding not in self._loaded:
            with self._lock:
                if encoding not in self._loaded:
                    self._loaded[encoding] = _load(encoding)
        return self._loaded[encoding]


def by_length(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _load(encoding: str) -> Count | None:
    bindings = _bindings()
    if bindings is None or encoding not in bindings.supported_encodings():
        return None
    count = bindings.tokenizer_for_encoding(encoding).count
    count("")
    return count  # type: ignore[no-any-return]


def _bindings() -> Any:
    """The compiled module alone: importing its package reads the same vocabularies once more in Python, for 0.8 s and 68 MB."""
    package = find_spec("bpe_openai")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder) / f"_bindings{suffix}"
            if path.is_file():
                spec = spec_from_file_location("bpe_openai._bindings", path)
                assert spec is not None and spec.loader is not None
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return None
