"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import HTTP_CLIENTS, Capability, Manifest

manifest = Manifest(
    name="provider_http",
    api="1.0",
    factory="routeiq_provider_http.plugin:HttpProviders",
    config="routeiq_provider_http.config:Config",
    summary="OpenAI-compatible and Anthropic endpoints",
    requires=(HTTP_CLIENTS,),
    capabilities={Capability.NETWORK, Capability.SECRETS},
    default_enabled=True,
)
