"""Find and read the configuration file, and keep it with the environment and the flags in one `Document`.

    flag --config  >  LITELLM_CONFIG_PATH  >  ./routeiq.yaml  >  ./config.yaml  >  nothing (an empty document)

A document holds plain values; `os.environ/NAME` in them is resolved where a value is used, so what nobody uses may be unset.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from attrs import field, frozen
from routeiq_sdk import ConfigError

from .flags import FLAGS

NAMES = ("routeiq.yaml", "config.yaml")
MAX_BYTES = 4 * 1024 * 1024
REFERENCE = "os.environ/"
SECTIONS = {"model_list": list} | dict.fromkeys(
    ("kernel", "plugins", "router_settings", "litellm_settings", "general_settings", "environment_variables"), dict
)
REFERENCED = re.compile(f'"{REFERENCE}([^"]*)"')
OURS = re.compile(r"(ROUTEIQ|LITELLM|LLMROUTER|ADMIN|A2A|MCP|POLICY|CONFIG|OTEL|AUDIT|REDIS|DATABASE|HTTP_CLIENT)_")


@frozen
class Document:
    """`lines` maps dotted paths (`model_list.0.litellm_params.model`) to lines; `flags` are keyed by setting (`kernel.port`)."""

    data: dict[str, Any] = field(factory=dict, repr=False)
    lines: dict[str, int] = field(factory=dict)
    path: str | None = None
    environ: dict[str, str] = field(factory=dict, repr=False)
    flags: dict[str, Any] = field(factory=dict, repr=False)
    cwd: str = "."

    def section(self, name: str) -> dict[str, Any]:
        return self.data.get(name) or {}

    def get(self, path: str) -> Any:
        """The value at a dotted path of mappings, None where there is none."""
        value: Any = self.data
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def where(self, path: str) -> str:
        """The flag, or the file with the line of the value or of what would contain it; else "default"."""
        if path in self.flags:
            return f"flag {FLAGS.get(path, (path,))[0]}"
        while path not in self.lines and "." in path:
            path = path.rpartition(".")[0]
        return f"{self.path or 'configuration'}:{self.lines[path]}" if path in self.lines else self.path or "default"

    @cached_property
    def hash(self) -> str:
        """Names this configuration: the file's values, the flags and the variables that it refers to or that are ours."""
        named = REFERENCED.findall(msgspec.json.encode(self.data).decode())
        variables = {name: value for name, value in self.environ.items() if name in named or OURS.match(name)}
        flags = {name: value for name, value in self.flags.items() if name != "config"}
        return hashlib.sha256(msgspec.json.encode([self.data, flags, variables], order="deterministic")).hexdigest()[:12]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Document:
        return cls(**msgspec.json.decode(data))


def load(flags: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> Document:
    """Raises `ConfigError` with file and line."""
    path = find(flags, environ, cwd)
    name = str(path.relative_to(cwd) if path.is_relative_to(cwd) else path) if path else None
    data, lines = read(path, str(name)) if path else ({}, {})
    variables = {key: _text(value, environ) for key, value in (data.get("environment_variables") or {}).items()} | dict(environ)
    usable = {key: value for key, value in variables.items() if (key + value).encode("utf-8", "replace").decode() == key + value}
    return Document(data, lines, name, usable, {key: value for key, value in flags.items() if value is not None}, str(cwd))


def load_here(flags: Mapping[str, Any]) -> Document:
    """`load` with this process's environment and working directory."""
    return load(flags, os.environ, Path.cwd())


def find(flags: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = flags.get("config") or environ.get("LITELLM_CONFIG_PATH")
    if named:
        return cwd / Path(named).expanduser()
    return next((cwd / name for name in NAMES if (cwd / name).is_file()), None)


def read(path: Path, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    from .syntax import parse

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(f"{name}: larger than {MAX_BYTES // 1024 // 1024} MB")
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}:{raw.count(10, 0, error.start) + 1}: not UTF-8 text") from None
    value, lines = parse(text, name)
    return _checked({} if value is None else value, lines, name), lines


def _checked(value: Any, lines: Mapping[str, int], name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name}:{lines.get('', 1)}: expected sections such as `model_list:` at the top, got a {type(value).__name__}")
    problems = [
        f"{section}: expected a {'list' if kind is list else 'mapping'}, got {type(value[section]).__name__} ({name}:{lines[section]})"
        for section, kind in SECTIONS.items()
        if not isinstance(value.get(section), kind | None)
    ]
    if problems:
        raise ConfigError(*problems)
    return value


def _text(value: Any, environ: Mapping[str, str]) -> str:
    text = "" if value is None else str(value)
    return environ.get(text.removeprefix(REFERENCE), "") if text.startswith(REFERENCE) else text
