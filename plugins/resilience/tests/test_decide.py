"""Every kind of error, and what is tried after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routeiq_resilience.decide import ATTEMPTS_PER_MODEL, Decision
from routeiq_resilience.tried import Asked, tried
from routeiq_sdk import Fail, Model, Next, Rescue, Retry, Secret, Surface
from routeiq_sdk.services import ModelCard
from routeiq_sdk.stream import ERROR_STATUS
from routeiq_sdk.testing import deployment

Make = Callable[..., Any]
PASSING = ["timeout", "conflict", "rate_limit", "server", "bad_gateway", "overloaded", "over_capacity", "gateway_timeout"]
ELSEWHERE = ["authentication", "permission", "billing", "not_found"]
FINAL = sorted(set(ERROR_STATUS) - {*PASSING, *ELSEWHERE, "context_length"})


def named(decision: Decision) -> str:
    return decision.name if isinstance(decision, Model) else type(decision).__name__


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_asked_twice_more_and_then_the_fallback(bench: Any, kind: str) -> None:
    context = bench.context()
    assert [named(bench.fails(context, kind)) for _ in range(3)] == ["Retry", "Retry", "spare"]


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_is_wrong_with_a_deployment_is_never_asked_of_it_again(bench: Any, kind: str) -> None:
    assert named(bench.fails(bench.context(), kind)) == "spare"
    assert named(bench.fails(bench.context(), kind, upcoming=deployment("main", id="other"))) == "Next"


@pytest.mark.parametrize("kind", FINAL)
def test_what_is_wrong_with_the_request_is_final(bench: Any, kind: str) -> None:
    assert named(bench.fails(bench.context(), kind, upcoming=deployment("main", id="other"))) == "Fail"


@pytest.mark.parametrize(("kind", "phase"), [("gateway_timeout", "timeout"), ("gateway_timeout", "connect")])
def test_a_silent_deployment_is_not_asked_again(bench: Any, kind: str, phase: str) -> None:
    assert named(bench.fails(bench.context(), kind, phase)) == "spare"


def test_without_a_fallback_the_error_is_the_answer(make: Make) -> None:
    bench = make(fallbacks=())
    context = bench.context()
    assert [named(bench.fails(context, "server")) for _ in range(3)] == ["Retry", "Retry", "Fail"]
    assert named(bench.fails(bench.context(), "gateway_timeout", "timeout")) == "Fail"


@pytest.mark.parametrize(("should", "kind", "expected"), [
    (False, "server", "spare"), (True, "server", "Retry"), (True, "invalid_request", "Retry"), (True, "content_policy", "Fail"),
    (True, "authentication", "spare"), (None, "invalid_request", "Fail"),
])  # fmt: skip
def test_the_providers_word_on_retries(bench: Any, should: bool | None, kind: str, expected: str) -> None:
    assert named(bench.fails(bench.context(), kind, should_retry=should)) == expected


def test_retry_after_is_waited_for(bench: Any) -> None:
    decision = bench.fails(bench.context(), "rate_limit", retry_after_s=4.0)
    assert isinstance(decision, Retry) and 4.0 <= decision.after_s <= 4.4


@pytest.mark.parametrize(("asked_s", "left_s"), [(10.1, 60.0), (4.0, 3.9)])
def test_a_wait_that_is_too_long_goes_to_the_fallback(bench: Any, asked_s: float, left_s: float) -> None:
    assert named(bench.fails(bench.context(), "rate_limit", retry_after_s=asked_s, left_s=left_s)) == "spare"


def test_a_rate_limit_goes_to_an_equal_deployment_and_not_to_one_of_another_order(bench: Any) -> None:
    equal, reserve = deployment("main", id="equal"), deployment("main", id="reserve", order=2)
    assert named(bench.fails(bench.context(), "rate_limit", retry_after_s=1.0, upcoming=equal)) == "Next"
    assert named(bench.fails(bench.context(), "rate_limit", retry_after_s=1.0, upcoming=reserve)) == "Retry"
    assert named(bench.fails(bench.context(), "server", upcoming=equal)) == "Retry"


@pytest.mark.parametrize(("config", "fields", "retries"), [
    ({}, {}, 2), ({"num_retries": 0}, {}, 0), ({"num_retries": 1}, {"max_retries": 3}, 3), ({"num_retries": 5}, {"max_retries": 0}, 0),
    ({"retry_policy": {"InternalServerErrorRetries": 4}}, {"max_retries": 1}, 4),
    ({"retry_policy": {"RateLimitErrorRetries": 4}}, {}, 2),
    ({"retry_policy": {"InternalServerErrorRetries": 4}, "model_group_retry_policy": {"main": {"InternalServerErrorRetries": 0}}}, {}, 0),
    ({"num_retries": 50}, {}, ATTEMPTS_PER_MODEL - 1),
])  # fmt: skip
def test_how_often_is_as_configured(make: Make, config: dict[str, Any], fields: dict[str, Any], retries: int) -> None:
    bench = make(deployment("main", **fields), deployment("spare"), **config)
    context = bench.context()
    decisions = [named(bench.fails(context, "server", retried=number)) for number in range(1, 9)]
    assert decisions[: retries + 1] == ["Retry"] * retries + ["spare"]


def test_a_policy_retries_what_is_final_otherwise_but_never_a_credential(make: Make) -> None:
    policy = {"BadRequestErrorRetries": 1, "AuthenticationErrorRetries": 3, "ContentPolicyViolationErrorRetries": 1}
    bench = make(retry_policy=policy)
    for kind in ("invalid_request", "content_policy"):
        context = bench.context()
        assert [named(bench.fails(context, kind)) for _ in range(2)] == ["Retry", "Fail"]
    assert named(bench.fails(bench.context(), "authentication")) == "spare"


def test_the_clients_own_key_is_never_tried_elsewhere(make: Make) -> None:
    own = deployment("main", params={"pass_client_credentials": True})
    bench = make(own, deployment("spare"))
    context = bench.context(client_credentials={"x-api-key": Secret("sk-own")})
    assert named(bench.fails(context, "authentication")) == "Fail"
    assert named(bench.fails(bench.context(), "authentication")) == "spare", "this client sent no key of its own"


def test_content_policy_goes_only_where_an_entry_says(make: Make) -> None:
    bench = make(content_policy_fallbacks=({"main": ("lenient",)},), default_fallbacks=("spare",))
    assert named(bench.fails(bench.context(), "content_policy")) == "lenient"
    assert named(bench.fails(bench.context("spare"), "content_policy")) == "Fail"


class Catalog:
    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes

    def card(self, found: Any) -> ModelCard | None:
        size = self.sizes.get(found.group)
        return ModelCard(id=found.model, max_input_tokens=size) if size else None


@pytest.mark.parametrize(("config", "sizes", "expected"), [
    ({}, {}, "spare"),
    ({"context_window_fallbacks": ({"main": ("large",)},)}, {"main": 8, "large": 4}, "large"),
    ({"fallbacks": ({"main": ("spare", "large")},)}, {"main": 8, "spare": 8, "large": 100}, "large"),
    ({"fallbacks": ({"main": ("spare", "large")},)}, {"main": 8, "large": 100}, "spare"),
    ({}, {"main": 8, "spare": 4}, "Fail"),
    ({"fallbacks": ()}, {}, "Fail"),
])  # fmt: skip
def test_a_long_context_goes_to_a_larger_model_at_once(make: Make, config: dict[str, Any], sizes: dict[str, int], expected: str) -> None:
    bench = make(*map(deployment, ("main", "spare", "large")), **config)
    bench.decider.catalog = Catalog(**sizes)
    assert named(bench.fails(bench.context(), "context_length")) == expected


def test_fallbacks_are_followed_in_breadth_and_never_twice(make: Make) -> None:
    chains = ({"main": ("a", "b")}, {"a": ("c", "main")}, {"*": ("a", "b", "d")})
    bench = make(*map(deployment, ("main", "a", "b", "c", "d")), fallbacks=chains, num_retries=0)
    context = bench.context()
    assert [named(bench.fails(context, "server")) for _ in range(6)] == ["a", "b", "c", "d", "Fail", "Fail"]


def test_the_number_of_fallbacks_is_bounded(make: Make) -> None:
    names = tuple(f"m{number}" for number in range(9))
    bench = make(*map(deployment, ("main", *names)), fallbacks=({"main": names},), num_retries=0, max_fallbacks=3)
    context = bench.context()
    assert [named(bench.fails(context, "server")) for _ in range(4)] == ["m0", "m1", "m2", "Fail"]


def test_a_request_may_bring_its_own_fallbacks_or_none(make: Make) -> None:
    bench = make(*map(deployment, ("main", "spare", "own")), num_retries=0)
    own, none, disabled = bench.context(fallbacks=("own",)), bench.context(fallbacks=()), bench.context()
    tried(disabled).asked = Asked(disable_fallbacks=True)
    assert [named(bench.fails(each, "server")) for each in (own, none, disabled)] == ["own", "Fail", "Fail"]


def test_default_fallbacks_are_of_models_without_their_own(make: Make) -> None:
    bench = make(*map(deployment, ("main", "spare", "default", "other")), default_fallbacks=("default",), num_retries=0)
    assert named(bench.fails(bench.context("other"), "server", deployment=deployment("other"))) == "default"
    assert named(bench.fails(bench.context(), "server")) == "spare"


def test_what_makes_something_is_repeated_only_where_it_did_nothing(bench: Any) -> None:
    files = Surface(method="POST", path="/v1/files", kind="forward", operation="files", format="openai", owns=("id",))
    outcomes = [("server", "headers", "Fail"), ("bad_gateway", "connect", "Retry"), ("rate_limit", "headers", "Retry")]
    for kind, phase, expected in outcomes:
        assert named(bench.fails(bench.context(surface=files), kind, phase)) == expected, (kind, phase)


def test_an_outage_is_not_multiplied(make: Make) -> None:
    bench = make(retries_per_s=1.0, retry_share=0.2)
    decisions = [named(bench.fails(bench.context(), "server")) for _ in range(30)]
    assert decisions == ["Retry"] * 10 + ["spare"] * 20


def test_a_deployment_that_cools_down_is_not_retried(bench: Any) -> None:
    decisions = [named(bench.fails(bench.context(), "server", counts=True)) for _ in range(5)]
    assert decisions == ["Retry"] * 3 + ["spare"] * 2


@pytest.mark.parametrize(("config", "fields", "expected"), [
    ({}, {}, Rescue("restart", model="spare")),
    ({}, {"deployment": deployment("main", provider="anthropic")}, Rescue("restart", model="spare")),
    ({"rescue": {"*": "continue"}}, {}, Rescue("continue", model="spare")),
    ({"rescue": {"main": "error"}}, {}, Fail()),
    ({}, {"in_text": False}, Fail()),
    ({}, {"upcoming": deployment("main", id="next", model="claude-x")}, Rescue("continue")),
    ({}, {"upcoming": deployment("main", id="next", info={"supports_assistant_prefill": True})}, Rescue("continue")),
    ({}, {"upcoming": deployment("main", id="next", provider="anthropic", info={"supports_assistant_prefill": False})}, Rescue("restart")),
])  # fmt: skip
def test_a_broken_stream_is_finished_by_who_can(make: Make, config: dict[str, Any], fields: dict[str, Any], expected: Decision) -> None:
    bench = make(**config)
    assert bench.fails(bench.context(), "bad_gateway", "body", committed=True, **fields) == expected


def test_who_refuses_a_prefill_is_asked_anew(make: Make) -> None:
    bench = make(deployment("main"), deployment("spare", provider="anthropic"))
    context = bench.context()
    assert bench.fails(context, "bad_gateway", "body", committed=True) == Rescue("continue", model="spare")
    assert bench.fails(context, "invalid_request", committed=True, rescue="continue", deployment=bench.deployments[1]) == Rescue("restart")
    assert bench.fails(context, "invalid_request", committed=True, rescue="restart", deployment=bench.deployments[1]) == Fail()


def test_alone_a_deployment_finishes_its_own_answer(make: Make) -> None:
    bench = make(fallbacks=())
    context = bench.context()
    decisions = [bench.fails(context, "bad_gateway", "body", committed=True) for _ in range(4)]
    assert [type(each) for each in decisions] == [Rescue, Rescue, Fail, Fail]
    assert bench.fails(bench.context(), "gateway_timeout", "timeout", committed=True) == Fail(), "it stalled"
    assert all(each.model is None and each.after_s > 0 for each in decisions if isinstance(each, Rescue))


def test_a_probe_that_breaks_is_finished_by_its_healthy_siblings(make: Make) -> None:
    probe, sibling = deployment("main", id="probe", provider="anthropic"), deployment("main", id="sibling", api_base="http://sibling")
    bench = make(probe, sibling, deployment("spare"))
    for _ in range(4):
        bench.fails(bench.context(), "bad_gateway", counts=True, deployment=probe)
    context = bench.context()
    tried(context).probe = "probe"
    decision = bench.fails(context, "bad_gateway", "body", committed=True, deployment=probe)
    assert decision == Rescue("restart", model="main"), "the sibling takes no prefill"
    assert bench.fails(context, "bad_gateway", "body", committed=True, deployment=sibling) == Rescue("restart", model="spare")


def test_a_policy_error_in_mid_stream_is_final(bench: Any) -> None:
    assert bench.fails(bench.context(), "content_policy", "body", committed=True) == Fail()


KINDS = st.sampled_from([*PASSING, *ELSEWHERE, *FINAL, "context_length"])
PHASES = st.sampled_from(["connect", "send", "headers", "body", "timeout"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(KINDS, PHASES, st.none() | st.floats(0, 30), st.none() | st.booleans()), min_size=60, max_size=60),
    st.integers(0, 20),
    st.integers(1, 4),
)
def test_no_history_of_failures_goes_on_for_ever(make: Make, faults: list[Any], retries: int, size: int) -> None:
    """At most six attempts at a model, five models after the first, and no model twice."""
    group = [deployment("main", id=f"main-{number}") for number in range(size)]
    chains = ({"main": ("a", "b")}, {"a": ("main", "c")}, {"c": ("d",)})
    bench = make(*group, *map(deployment, "abcd"), fallbacks=chains, num_retries=retries)
    context, place, attempts, seen = bench.context(), 0, [0], ["main"]
    here = group
    for kind, phase, asked_s, should in faults:
        attempts[-1] += 1
        upcoming = here[place + 1] if place + 1 < len(here) else None
        decision = bench.fails(context, kind, phase, deployment=here[place], upcoming=upcoming, retry_after_s=asked_s, should_retry=should)
        if isinstance(decision, Fail):
            break
        if isinstance(decision, Next):
            place += 1
        elif isinstance(decision, Model):
            seen.append(decision.name)
            attempts.append(0)
            here, place = [deployment(decision.name)], 0
        else:
            assert isinstance(decision, Retry) and 0 < decision.after_s < 60
            assert asked_s is None or decision.after_s >= asked_s
    else:
        raise AssertionError("sixty failures did not end it")
    assert max(attempts) <= ATTEMPTS_PER_MODEL and len(seen) <= 6 and len(set(seen)) == len(seen)


@settings(max_examples=60, deadline=None)
@given(st.lists(KINDS, min_size=8, max_size=8))
def test_no_deployment_is_asked_five_times_in_three_seconds(make: Make, kinds: list[str]) -> None:
    bench = make(fallbacks=(), num_retries=20)
    context, now_s, times = bench.context(), 0.0, [0.0]
    for number, kind in enumerate(kinds, 1):
        decision = bench.fails(context, kind, retried=number)
        if not isinstance(decision, Retry):
            break
        now_s += decision.after_s
        times.append(now_s)
    assert all(later - earlier >= 3.0 for earlier, later in zip(times, times[4:], strict=False))
    assert len(times) <= ATTEMPTS_PER_MODEL
