"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import STATE_STORE, FailureMode, Manifest
from routeiq_sdk.services import ATTEMPT_POLICY, DEPLOYMENT_HEALTH, MODEL_CATALOG

manifest = Manifest(
    name="resilience",
    api="1.0",
    factory="routeiq_resilience.plugin:Resilience",
    config="routeiq_resilience.config:Config",
    summary="retries, fallbacks, cooldowns, rescue of broken streams",
    provides=(ATTEMPT_POLICY, DEPLOYMENT_HEALTH),
    optional=(MODEL_CATALOG, STATE_STORE),
    on_failure=FailureMode.OPEN,
    default_enabled=True,
)
