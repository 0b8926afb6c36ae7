"""The contract that every plugin keeps, with a strategy that needs no hooks and one that needs all."""

from __future__ import annotations

from routeiq_sdk.testing import PluginContract


class TestRoutingCore(PluginContract):
    plugin = "routing_core"


class TestWatching(PluginContract):
    plugin = "routing_core"
    settings = {"router_settings": {"routing_strategy": "latency-based-routing", "optional_pre_call_checks": ["prompt_caching"]}}
    models = [{"model_name": "m", "litellm_params": {"model": "contract_model/other"}}]
