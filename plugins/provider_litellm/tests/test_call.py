"""A deployment and a body → the SDK's arguments. Needs no SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_provider_litellm.call import bind, secrets
from routeiq_provider_litellm.names import ANY, DIRECT, known, registered
from routeiq_provider_litellm.sdk import absent, unsafe
from routeiq_sdk import Call, ClientError, ConfigError, Deployment, Secret

MESSAGES = [{"role": "user", "content": "hi"}]


def deployment(**fields: Any) -> Deployment:
    return Deployment(**{"id": "d", "group": "g", "provider": "bedrock", "model": "nova", **fields})


def arguments(made: Deployment, path: str = "/chat/completions", **body: Any) -> dict[str, Any]:
    data = json.dumps({"model": made.model, "messages": MESSAGES, **body}).encode()
    return bind(made).arguments(Call(deployment=made, path=path, headers=(("traceparent", "00-1"),), body=data, stream=False))


def test_settings_are_revealed_and_retries_are_off() -> None:
    made = deployment(
        api_base="http://h", api_key=Secret("sk-1"), params={"aws_secret_access_key": Secret("s3cret"), "extra_headers": {"a": Secret("b")}}
    )
    given = arguments(made, temperature=0.5)
    assert (given["model"], given["api_base"], given["api_key"]) == ("bedrock/nova", "http://h", "sk-1")
    assert (given["aws_secret_access_key"], given["extra_headers"]) == ("s3cret", {"a": "b"})
    assert (given["max_retries"], given["num_retries"], given["temperature"]) == (0, 0, 0.5)
    assert given["headers"] == {"traceparent": "00-1"}


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({"provider": ANY, "model": "vertex_ai/claude"}, "vertex_ai/claude"),
        ({"model": "x", "params": {"custom_llm_provider": "bedrock"}}, "x"),
        ({}, "bedrock/nova"),
    ],
)
def test_the_model_has_one_prefix(fields: dict[str, Any], model: str) -> None:
    assert arguments(deployment(**fields))["model"] == model


def test_routing_settings_do_not_reach_the_sdk() -> None:
    given = arguments(deployment(params={"fallbacks": ["x"], "cache": True, "mock_response": "hi", "api_version": "1"}))
    assert {"fallbacks", "cache", "mock_response"}.isdisjoint(given) and given["api_version"] == "1"


@pytest.mark.parametrize("name", ["api_key", "api_base", "base_url", "client", "logger_fn", "aws_region_name", "metadata", "model_list"])
def test_a_member_that_is_not_listed_is_refused(name: str) -> None:
    with pytest.raises(ClientError) as caught:
        arguments(deployment(), **{name: "x"})
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")


def test_the_operator_may_pass_drop_and_fix_members() -> None:
    made = deployment(
        params={"allowed_openai_params": ["novel"], "additional_drop_params": ["metadata", "user"]}, defaults={"style": b'"a"'}
    )
    given = arguments(made, novel=1, metadata={}, user="u", style="a")
    assert (given["novel"], given["style"]) == (1, "a") and {"metadata", "user"}.isdisjoint(given)
    with pytest.raises(ClientError):
        arguments(made, style="b")


def test_only_chat_goes_through_the_sdk() -> None:
    with pytest.raises(ClientError, match="chat only"):
        arguments(deployment(), path="/embeddings")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"provider": ANY, "model": "claude"}, "litellm/<provider>/<model>"),
        ({"params": {"pass_client_credentials": True}}, "credentials"),
        ({"params": {"allowed_openai_params": "x"}}, "list of names"),
    ],
)
def test_what_cannot_work_stops_the_start(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        bind(deployment(**fields))


def test_secrets_are_found_wherever_they_stand() -> None:
    made = deployment(api_key=Secret("one"), params={"x": Secret("two"), "extra_headers": {"a": "three"}, "region": "four"})
    assert sorted(secrets(made)) == ["one", "three", "two"]


def test_a_missing_and_a_stolen_sdk_are_named() -> None:
    assert 'pip install "routeiq[litellm]"' in absent("bedrock/nova")
    assert "steals" in (unsafe("1.82.7") or "") and unsafe("1.106.2") is None


def test_over_a_hundred_names_are_registered_and_none_twice() -> None:
    names = registered()
    assert len(names) > 100 and len(set(names)) == len(names)
    assert ANY in names and DIRECT.isdisjoint(names) and {"bedrock", "cohere_chat", "databricks"} <= set(names) <= {ANY, *known()}
