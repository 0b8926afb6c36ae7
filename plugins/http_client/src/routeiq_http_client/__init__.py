"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import HTTP_CLIENTS, Capability, Manifest

manifest = Manifest(
    name="http_client",
    api="1.0",
    factory="routeiq_http_client.plugin:HttpClient",
    config="routeiq_http_client.config:Config",
    summary="pooled HTTP connections to providers",
    provides=(HTTP_CLIENTS,),
    capabilities={Capability.NETWORK},
    default_enabled=True,
)
