"""Manifests of plugins that want every event, or every request, and have no opinion on any."""

from routeiq_sdk import API_VERSION, Capability, FailureMode, Manifest


def observer(number: int) -> Manifest:
    return Manifest(
        name=f"bench_event_{number}",
        api=API_VERSION,
        factory="routeiq_bench.plugin:EventObserver",
        capabilities=[Capability.STREAM],
        on_failure=FailureMode.OPEN,
    )


def bystander(number: int) -> Manifest:
    return Manifest(name=f"bench_noop_{number}", api=API_VERSION, factory="routeiq_bench.plugin:Bystander")


event_1, event_2, event_3, event_4, event_5 = (observer(number) for number in range(1, 6))
