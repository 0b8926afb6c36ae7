"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Manifest

manifest = Manifest(
    name="routing_core",
    api="1.0",
    factory="routeiq_routing_core.plugin:RoutingCore",
    config="routeiq_routing_core.plugin:Config",
    summary="simple-shuffle by order and weight",
    default_enabled=True,
)
