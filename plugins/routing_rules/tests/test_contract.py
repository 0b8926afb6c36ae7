"""The contract that every plugin keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from routeiq_sdk.testing import PluginContract


class TestWithoutRules(PluginContract):
    plugin = "routing_rules"


class TestWithRules(PluginContract):
    plugin = "routing_rules"
    config: ClassVar[Mapping[str, Any]] = {
        "rules": [
            {"name": "texts", "when": {"last_message": "never", "min_tokens": 5}, "model": "m"},
            {"name": "all", "fallbacks": [], "only": {"provider": "*"}},
        ]
    }
