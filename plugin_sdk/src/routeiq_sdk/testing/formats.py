"""Codecs by the name of their format, found among the installed plugins, and their stream rules as an assertion."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..manifest import Manifest
from ..request import Request
from ..wire import Codec
from .builders import Context


def find_manifest(plugin: str) -> Manifest:
    """The manifest of an installed plugin. Raises `LookupError` when none has that name."""
    for point in entry_points(group="routeiq.plugins", name=plugin):
        manifest: Manifest = point.load()
        return manifest
    raise LookupError(f"no installed plugin is named {plugin!r}")


def find_factory(manifest: Manifest) -> Any:
    module, _, name = manifest.factory.partition(":")
    return getattr(importlib.import_module(module), name)


def codec(format: str) -> Codec:
    """The codec of that format: of the plugin `format_<format>`, else of any `format_…`. Raises `LookupError`."""
    names = {point.name for point in entry_points(group="routeiq.plugins") if point.name.startswith("format_")}
    for name in sorted(names, key=lambda name: (name != f"format_{format}", name)):
        for each in _registered(name):
            if each.name == format:
                return each
    raise LookupError(f"no installed plugin registers the format {format!r}")


def _registered(plugin: str) -> Iterable[Codec]:
    manifest = find_manifest(plugin)
    factory = find_factory(manifest)
    made = factory(_defaults(manifest)) if manifest.config else factory()
    found: Iterable[Codec] = made.register_formats(**_known(made.register_formats, plugin))
    return found


def _defaults(manifest: Manifest) -> Any:
    module, _, name = (manifest.config or "").partition(":")
    return getattr(importlib.import_module(module), name)()


def _known(function: Any, plugin: str) -> dict[str, Any]:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return {"ctx": Context(Path(), name=plugin)} if "ctx" in names else {}


def oracle(format: str, body: bytes, request: Request | None = None) -> list[str]:
    """Violations of the format's stream rules in a whole streamed body; [] if there are none."""
    return codec(format).oracle(body, request)
