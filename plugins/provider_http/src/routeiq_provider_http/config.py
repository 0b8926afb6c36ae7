"""The plugin's settings: the keys that the providers' own SDKs read from the environment, and headers that may pass."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from routeiq_sdk import Secret, setting

from .table import PROVIDERS

_KEYS = {
    name.lower(): attrs.field(
        type=Secret | None,
        default=None,
        metadata={"env": name, "key": None, "help": f"key of {row.name} for deployments at its own address"},
    )
    for row in PROVIDERS
    for name in row.env
}


@attrs.frozen
class Headers:
    """Provider name, or `*` for all → header names that pass besides those that always do."""

    forward_headers: Mapping[str, tuple[str, ...]] = setting(attrs.Factory(dict), help="client headers that go to the provider")
    return_headers: Mapping[str, tuple[str, ...]] = setting(attrs.Factory(dict), help="provider headers that go to the client")


Config = attrs.make_class("Config", _KEYS, bases=(Headers,), frozen=True)
