"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import STATE_STORE, Manifest

manifest = Manifest(
    name="state_memory",
    api="1.0",
    factory="routeiq_state_memory.plugin:StateMemory",
    config="routeiq_state_memory.plugin:Config",
    summary="counters, leases and messages in the memory of one worker",
    provides=(STATE_STORE,),
    default_enabled=True,
)
