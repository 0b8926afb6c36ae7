"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Manifest
from routeiq_sdk.services import AGENTS, TOKEN_COUNTER

manifest = Manifest(
    name="routing_rules",
    api="1.0",
    factory="routeiq_routing_rules.plugin:RoutingRules",
    config="routeiq_routing_rules.config:Config",
    summary="models, fallbacks and deployments by agent, tier, tag, text, length, modality and region",
    provides=(AGENTS,),
    optional=(TOKEN_COUNTER,),
    mutates=("headers",),
    default_enabled=True,
)
