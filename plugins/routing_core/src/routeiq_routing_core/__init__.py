"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import STATE_STORE, Manifest
from routeiq_sdk.services import PRICE_BOOK

manifest = Manifest(
    name="routing_core",
    api="1.0",
    factory="routeiq_routing_core.plugin:RoutingCore",
    config="routeiq_routing_core.config:Config",
    summary="load balancing: LiteLLM's strategies, sticky sessions, prompt-cache affinity",
    optional=(PRICE_BOOK, STATE_STORE),
    default_enabled=True,
)
