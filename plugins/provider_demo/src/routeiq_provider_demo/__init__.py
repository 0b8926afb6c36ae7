"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Manifest

manifest = Manifest(
    name="provider_demo",
    api="1.0",
    factory="routeiq_provider_demo.plugin:DemoProvider",
    config="routeiq_provider_demo.plugin:Config",
    summary="an offline model for first steps and tests",
    default_enabled=True,
)
