"""`plugins.<name>:` sections → the plugins' own config classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from routeiq_sdk import ConfigError

from .load import SECTIONS, Document
from .problems import nearest
from .strict import leaves, names, structure

T = TypeVar("T")


def plugin_config(document: Document, name: str, cls: type[T]) -> T:
    """Raises `ConfigError` with all problems of the section."""
    return structure(cls, document.section("plugins").get(name), f"plugins.{name}", document)


def check_sections(document: Document, installed: Collection[str]) -> None:
    """Raises `ConfigError` for sections of plugins that are not installed and for misspelt sections of ours."""
    problems = [
        f"{name}: unknown section{close} ({document.where(name)})"
        for name in document.data
        if name not in SECTIONS and (close := nearest(name, ("kernel", "plugins"), cutoff=0.8))
    ]
    problems += [
        f"plugins.{name}: no such plugin is installed{nearest(name, installed)} ({document.where(f'plugins.{name}')})"
        for name in document.section("plugins")
        if name not in installed
    ]
    if problems:
        raise ConfigError(*problems)


def used(classes: Iterable[type]) -> tuple[set[str], set[str]]:
    """The LiteLLM keys and the environment variables that these config classes read."""
    found = [leaf for cls in classes for leaf in leaves(cls, "")]
    return {key for leaf in found for key in names(leaf.field, "key")}, {name for leaf in found for name in names(leaf.field, "env")}
