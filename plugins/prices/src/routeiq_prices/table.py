"""The known prices: the shipped list, read at its first use, and the operator's own before it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk import ConfigError, Deployment
from routeiq_sdk.model_names import spellings

from .keys import given, wrong

MILLION = Decimal(1_000_000)
REMEMBERED = "remembered"


class Price(Struct, frozen=True):
    """`source` says where it is from. `sure` is False for a price that nobody could check. A key `*word` multiplies all."""

    prices: Mapping[str, Decimal]
    source: str
    sure: bool = True


class Shipped(Struct, frozen=True):
    version: str
    models: dict[str, Raw]


class Table:
    def __init__(self, own: Mapping[str, Mapping[str, Any]], file: Path | None = None) -> None:
        self._own = {name.lower(): given(settings) for name, settings in (*_from_file(file).items(), *own.items())}

    @cached_property
    def shipped(self) -> Shipped:
        data = files("routeiq_prices").joinpath("data/prices.json").read_bytes()
        return msgspec.json.decode(data, type=Shipped)

    def find(self, deployment: Deployment) -> Price | None:
        if self._own:
            for name in (*spellings(deployment), deployment.group.lower(), deployment.model.lower()):
                if name in self._own:
                    return Price(self._own[name], f"plugins.prices {name}")
        for name in spellings(deployment):
            raw = self.shipped.models.get(name)
            if raw is not None:
                entry = msgspec.json.decode(raw)
                prices = {key: _decimal(key, value) for key, value in entry.items() if key != "source"}
                return Price(prices, f"{name} of the list {self.shipped.version}", entry.get("source") != REMEMBERED)
        return None


def _decimal(key: str, value: str) -> Decimal:
    return Decimal(value) if key.startswith("*") else Decimal(value) / MILLION


def _from_file(path: Path | None) -> dict[str, dict[str, Any]]:
    """A JSON object of models and their prices, with LiteLLM's keys. Raises `ConfigError`."""
    if path is None:
        return {}
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]])
    except OSError as error:
        raise ConfigError(f"plugins.prices.file: {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"plugins.prices.file: {path} is no JSON object of models and their prices: {error}") from error
    bad = [f"plugins.prices.file: {path}: {name}: {key} is no price" for name, entry in found.items() for key in wrong(entry)]
    if bad:
        raise ConfigError(*bad)
    return found
