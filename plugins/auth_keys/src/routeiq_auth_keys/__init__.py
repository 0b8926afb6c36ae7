"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Capability, Manifest

manifest = Manifest(
    name="auth_keys",
    api="1.0",
    factory="routeiq_auth_keys.plugin:AuthKeys",
    config="routeiq_auth_keys.plugin:Config",
    summary="the master key",
    capabilities={Capability.SECRETS, Capability.FILESYSTEM},
    default_enabled=True,
)
