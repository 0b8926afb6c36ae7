"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Capability, FailureMode, Manifest
from routeiq_sdk.services import AGENTS, DEPLOYMENT_HEALTH, PRICE_BOOK

manifest = Manifest(
    name="gateway_status",
    api="1.0",
    factory="routeiq_gateway_status.plugin:GatewayStatus",
    config="routeiq_gateway_status.plugin:Config",
    summary="health, providers and metrics of all workers, under /gateway",
    optional=(AGENTS, DEPLOYMENT_HEALTH, PRICE_BOOK),
    capabilities={Capability.ADMIN},
    on_failure=FailureMode.OPEN,
    default_enabled=False,
)
