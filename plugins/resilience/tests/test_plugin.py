"""What the hooks make of it: candidates, readiness, configuration, a request's own members."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from routeiq_resilience.config import Config
from routeiq_resilience.plugin import Resilience
from routeiq_resilience.tried import tried
from routeiq_sdk import Attempt, ClientError, ConfigError, Deployment, Plan, RequestContext
from routeiq_sdk.stream import Error
from routeiq_sdk.testing import Context, FakeClock, Gateway, deployment, open_gateway, rc, request
from routeiq_sdk.wire import members

DOWN = Error(kind="server", message="It is out of order.")
CHAIN = {"fallbacks": ({"main": ("spare",)},)}


def made(id: str, group: str = "main") -> Deployment:
    """At an address of its own."""
    return deployment(group, id=id, api_base=f"http://{id}")


ONE, TWO, SPARE = made("one"), made("two"), made("spare", "spare")


class World:
    """The plugin on a clock that stands still; `states` are its deployments' as the service tells them."""

    def __init__(self, *deployments: Deployment, **config: Any) -> None:
        self.plugin, self.clock = Resilience(Config(**config)), FakeClock()
        self.health = self.plugin._health
        self.health.clock, self.health.deployments = self.clock, lambda: deployments

    def ends(self, where: Deployment, error: Error | None, times: int = 1, context: RequestContext | None = None) -> None:
        outcome = "error" if error else "complete"
        for _ in range(times):
            self.plugin.on_attempt(Attempt(number=1, deployment=where, outcome=outcome, error=error), context or rc(request("main")))

    async def left(self, *candidates: Deployment, context: RequestContext | None = None) -> list[str]:
        asked = request("main")
        found = await self.plugin.candidates(candidates, asked, context or rc(asked))
        return [each.id for each in (candidates if found is None else found)]

    def states(self) -> list[str]:
        return [each.state for each in self.health.status()]


async def test_who_cools_down_is_left_out_with_the_reason() -> None:
    world, context = World(ONE, TWO), rc(request("main"))
    world.ends(ONE, DOWN, 4)
    assert await world.left(ONE, TWO, context=context) == ["two"]
    assert context.excluded == {"one": "cooling down for 2.0 s more; last error server: It is out of order."}


async def test_when_all_cool_down_the_fallback_is_asked_and_without_one_all_are() -> None:
    world, context = World(ONE, TWO, SPARE, **CHAIN), rc(request("main"))
    world.ends(ONE, DOWN, 4)
    world.ends(TWO, DOWN, 4)
    assert await world.left(ONE, TWO, context=context) == [] and len(context.excluded) == 2
    world.ends(SPARE, DOWN, 4)
    assert await world.left(ONE, TWO) == ["one", "two"]


async def test_with_too_few_healthy_ones_all_are_used() -> None:
    many = [made(f"d{number}") for number in range(6)]
    world = World(*many, panic_share=0.5)
    for each in many[:4]:
        world.ends(each, DOWN, 4)
    assert len(await world.left(*many)) == 6
    assert len(await world.left(*many[2:])) == 2, "half of them is enough"


async def test_one_request_at_a_time_probes_alone() -> None:
    world, first = World(ONE, TWO), rc(request("main"))
    world.ends(ONE, DOWN, 4)
    world.clock.advance(2.0)
    assert await world.left(ONE, TWO, context=first) == ["one"]
    assert await world.left(ONE, TWO) == ["two"], "the probe has not ended"
    world.ends(ONE, DOWN)
    world.clock.advance(3.9)
    assert await world.left(ONE, TWO) == ["two"], "the second cooldown is longer"
    world.clock.advance(0.1)
    assert await world.left(ONE, TWO) == ["one"]
    world.ends(ONE, None)
    assert await world.left(ONE, TWO) == ["one", "two"]


async def test_a_cancelled_probe_says_nothing_and_makes_room_for_the_next() -> None:
    world = World(ONE, TWO)
    world.ends(ONE, DOWN, 4)
    world.clock.advance(2.0)
    assert await world.left(ONE, TWO) == ["one"]
    world.plugin.on_attempt(Attempt(number=1, deployment=ONE, outcome="cancelled"), rc(request("main")))
    assert (world.states()[0], await world.left(ONE, TWO)) == ("probing", ["one"])


@pytest.mark.parametrize(("kind", "times", "state"), [
    ("invalid_request", 9, "healthy"), ("content_policy", 9, "healthy"), ("context_length", 9, "healthy"), ("cancelled", 9, "healthy"),
    ("server", 3, "healthy"), ("server", 4, "cooling"), ("rate_limit", 4, "cooling"), ("authentication", 4, "cooling"),
    ("gateway_timeout", 2, "cooling"), ("not_found", 4, "cooling"),
])  # fmt: skip
def test_what_speaks_against_a_deployment(kind: str, times: int, state: str) -> None:
    world = World(ONE, TWO)
    world.ends(ONE, Error(kind=kind, message="No."), times)
    assert world.states() == [state, "healthy"]


def test_a_retry_after_that_is_too_long_to_wait_for_is_kept_away_from_at_once() -> None:
    world = World(ONE, TWO)
    world.ends(ONE, Error(kind="rate_limit", message="Slow down.", retry_after_s=12.0))
    world.ends(TWO, Error(kind="rate_limit", message="Slow down.", retry_after_s=9.0))
    [one, two] = world.health.status()
    assert (one.state, one.left_s, two.state) == ("cooling", 12.0, "healthy")


def test_a_name_that_the_client_chose_says_nothing_against_a_wildcard() -> None:
    wild = deployment("openai/*", id="wild")
    world = World(wild)
    world.ends(wild, Error(kind="not_found", message="No such model."), 9)
    assert world.states() == ["healthy"]


async def test_readiness_is_degraded_while_something_rests(tmp_path: Any) -> None:
    world = World(ONE, TWO)
    [check] = world.plugin.register_health(Context(tmp_path, deployments=(ONE, TWO)))
    assert (await check.check()).status == "healthy"
    world.ends(ONE, DOWN, 4)
    found = await check.check()
    assert (found.status, found.detail) == ("degraded", "1 of 2: main (one) cooling")


def test_the_first_content_is_limited_where_another_may_answer() -> None:
    world, context = World(ONE, SPARE, **CHAIN), rc(request("main", stream=True), plan=Plan((ONE,)))
    terms = world.plugin.stream_terms(ONE, context)
    assert terms is not None and (terms.first_content_s, terms.buffer) == (10.0, False)
    for _ in range(50):
        world.plugin.on_attempt(Attempt(number=1, deployment=ONE, outcome="complete", first_token_s=5.0), context)
    terms = world.plugin.stream_terms(ONE, context)
    assert terms is not None and terms.first_content_s == 15.0
    assert world.plugin.stream_terms(SPARE, rc(request("spare"), plan=Plan((SPARE,)))) is None
    set_up = World(ONE, rescue={"main": "buffer"}, first_content_s={"*": 3.0})
    terms = set_up.plugin.stream_terms(ONE, context)
    assert terms is not None and (terms.first_content_s, terms.buffer) == (3.0, True)


def test_a_deployment_may_have_its_own_cooldown_or_none() -> None:
    never, long = made("never"), made("long")
    never, long = (structs.replace(each, params={"cooldown_time": own}) for each, own in ((never, 0), (long, 60)))
    world = World(never, long)
    for each in (never, long):
        world.ends(each, DOWN, 4)
    assert [each.left_s for each in world.health.status()] == [None, 60.0]


@pytest.mark.parametrize(("first_s", "longest_s", "expected"), [(2.0, None, 10.0), (0.5, None, 2.5), (60.0, None, 60.0), (5.0, 30.0, 30.0)])
def test_the_longest_cooldown(first_s: float, longest_s: float | None, expected: float) -> None:
    assert Config(cooldown_time=first_s, max_cooldown_s=longest_s).longest_cooldown_s == expected


@pytest.mark.parametrize(("config", "message"), [
    ({"retry_policy": {"RateLimitRetries": 1}}, "retry_policy.RateLimitRetries: unknown key; did you mean RateLimitErrorRetries?"),
    ({"allowed_fails_policy": {"TimeoutErrorAllowed": 1}}, "did you mean TimeoutErrorAllowedFails?"),
    ({"model_group_retry_policy": {"main": {"X": 1}}}, "model_group_retry_policy.main.X: unknown key"),
])  # fmt: skip
def test_a_misspelt_class_is_an_error(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        Config(**config)


@pytest.mark.parametrize("config", [
    {"fallbacks": ({"mian": ("spare",)},)}, {"fallbacks": ({"main": ("mian",)},)}, {"default_fallbacks": ("mian",)},
    {"context_window_fallbacks": ({"main": ("mian",)},)}, {"rescue": {"mian": "error"}},
])  # fmt: skip
def test_a_model_that_is_none_is_an_error(config: dict[str, Any], tmp_path: Any) -> None:
    plugin = Resilience(Config(**config))
    with pytest.raises(ConfigError, match=r"there is no model 'mian'; did you mean main\?"):
        plugin.register_health(Context(tmp_path, deployments=(ONE, SPARE)))


def test_wildcards_serve_the_names_that_they_match(tmp_path: Any) -> None:
    wild = deployment("azure/*", id="wild")
    plugin = Resilience(Config(fallbacks=({"main": ("azure/gpt",)}, {"*": ("main",)})))
    assert list(plugin.register_health(Context(tmp_path, deployments=(ONE, wild))))


def asked(body: bytes) -> Any:
    made = request("main")
    made.body, made.members = body, members(body)
    return made


async def test_a_requests_own_members_are_taken_out() -> None:
    plugin = Resilience(Config())
    made, context = asked(b'{"model":"main","fallbacks":["spare",{"model":"b"},{"main":["c"]},{"other":["d"]}],"num_retries":0}'), rc()
    changed = await plugin.on_request(made, context)
    assert changed is not None and changed.edited
    assert (context.fallbacks, tried(context).asked.num_retries) == (("spare", "b", "c"), 0)
    assert await plugin.on_request(asked(b'{"model":"main"}'), rc()) is None


@pytest.mark.parametrize("body", [
    b'{"model":"main","fallbacks":"spare"}', b'{"model":"main","fallbacks":[1]}', b'{"model":"main","num_retries":-1}',
    b'{"model":"main","num_retries":true}', b'{"model":"main","disable_fallbacks":"yes"}',
    b'{"model":"main","fallbacks":[{"model":"spare","messages":[]}]}',
])  # fmt: skip
async def test_members_that_make_no_sense_are_refused(body: bytes) -> None:
    with pytest.raises(ClientError):
        await Resilience(Config()).on_request(asked(body), rc())


async def statuses(gateway: Gateway, count: int) -> list[int]:
    return [(await gateway.chat(model="m")).status_code for _ in range(count)]


async def test_the_composed_gateway_falls_back() -> None:
    models = [
        {
            "model_name": "m",
            "litellm_params": {"model": "openai/m", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-x", "max_retries": 0},
        },
        {"model_name": "spare", "litellm_params": {"model": "demo/demo"}},
    ]
    config = {"model_list": models, "router_settings": {"fallbacks": [{"m": ["spare"]}]}}
    async with open_gateway(config) as gateway:
        assert await statuses(gateway, 6) == [200] * 6
