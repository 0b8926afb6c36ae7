"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Capability, Manifest

manifest = Manifest(
    name="provider_litellm",
    api="1.0",
    factory="routeiq_provider_litellm.plugin:LiteLlmProviders",
    config="routeiq_provider_litellm.plugin:Config",
    summary="A hundred further providers, through the LiteLLM SDK",
    capabilities={Capability.NETWORK, Capability.SECRETS},
    default_enabled=True,
)
