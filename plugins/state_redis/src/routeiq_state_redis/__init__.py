"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import STATE_STORE, Capability, Manifest

manifest = Manifest(
    name="state_redis",
    api="1.0",
    factory="routeiq_state_redis.plugin:StateRedis",
    config="routeiq_state_redis.config:Config",
    summary="counters, leases and messages in Redis, for all workers and replicas",
    provides=(STATE_STORE,),
    capabilities=frozenset((Capability.NETWORK, Capability.SECRETS)),
)
