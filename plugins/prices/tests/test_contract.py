"""The contract that every plugin keeps."""

from __future__ import annotations

from routeiq_sdk.testing import PluginContract


class TestPrices(PluginContract):
    plugin = "prices"
    config = {"prices": {"contract_model/m": {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}}}
