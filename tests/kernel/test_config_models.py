"""`model_list` → deployments: LiteLLM's file as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from routeiq_kernel.config.load import Document
from routeiq_kernel.config.models import deployments
from routeiq_sdk import ConfigError, Deployment, Secret


def split(model: str, params: Mapping[str, Any]) -> tuple[str, str]:
    provider, _, name = model.partition("/")
    if provider == "unknown":
        raise ConfigError("no enabled plugin provides 'unknown'")
    return params.get("custom_llm_provider") or provider, name


def made(*entries: Any, environ: Mapping[str, str] | None = None, **data: Any) -> tuple[Deployment, ...]:
    lines = {f"model_list.{index}": 2 + index for index in range(len(entries))}
    return deployments(Document({"model_list": list(entries), **data}, lines, "c.yaml", dict(environ or {})), split)


def one(environ: Mapping[str, str] | None = None, **params: Any) -> Deployment:
    return made({"model_name": "m", "litellm_params": {"model": "openai/gpt", **params}}, environ=environ)[0]


def problems(*entries: Any, **data: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        made(*entries, **data)
    return caught.value.problems


def test_no_model_list_makes_no_deployments() -> None:
    assert deployments(Document(), split) == deployments(Document({"model_list": None}), split) == ()


def test_the_fields_of_a_deployment_are_read() -> None:
    found = one(
        {"KEY": "sk"},
        api_base="http://x/v1",
        api_key="os.environ/KEY",
        timeout=30,
        stream_timeout=1.5,
        max_retries=2,
        rpm=10,
        tpm=20,
        weight=3,
        order=1,
    )
    assert (found.group, found.provider, found.model, found.api_base) == ("m", "openai", "gpt", "http://x/v1")
    assert (found.api_key, found.timeout_s, found.stream_timeout_s) == (Secret("sk"), 30.0, 1.5)
    assert (found.max_retries, found.rpm, found.tpm, found.weight, found.order) == (2, 10, 20, 3.0, 1)
    assert (found.defaults, found.params, found.info) == ({}, {}, {})


def test_quoted_numbers_other_names_and_variables_are_accepted() -> None:
    found = one({"RPM": "7"}, rpm="os.environ/RPM", timeout="600", base_url="http://x", num_retries=4)
    assert (found.rpm, found.timeout_s, found.api_base, found.max_retries) == (7, 600.0, "http://x", 4)


def test_other_keys_are_request_defaults_or_connection_settings() -> None:
    found = one(
        temperature=0.2, max_tokens=100, stop=["a"], reasoning_effort="low", user=None, extra_body={"top_k": 3},
        api_version="2024-02-01", organization="o", extra_headers={"a": "b"}, custom_llm_provider="openai", aws_region_name="r",
        vertex_project="p", region_name="r", input_cost_per_token=0.1, cache_read_input_token_cost=0.01, drop_params=True, tags=["t"],
    )  # fmt: skip
    assert found.defaults == {"temperature": b"0.2", "max_tokens": b"100", "stop": b'["a"]', "reasoning_effort": b'"low"', "top_k": b"3"}
    assert set(found.params) == {
        "api_version", "organization", "extra_headers", "custom_llm_provider", "aws_region_name", "vertex_project", "region_name",
        "input_cost_per_token", "cache_read_input_token_cost", "drop_params", "tags",
    }  # fmt: skip


def test_secret_connection_settings_are_secrets_and_never_print() -> None:
    found = one(
        {"AWS": "sk-secret"}, aws_secret_access_key="os.environ/AWS", azure_ad_token="sk-secret", api_key="sk-secret", aws_region_name="r"
    )
    assert found.params == {"aws_secret_access_key": Secret("sk-secret"), "azure_ad_token": Secret("sk-secret"), "aws_region_name": "r"}
    assert "sk-secret" not in repr(found)


def test_wildcards_and_model_info_stay_as_they_are() -> None:
    entry = {"model_name": "anthropic/*", "litellm_params": {"model": "anthropic/*"}, "model_info": {"mode": "chat", "max_tokens": 5}}
    (found,) = made(entry)
    assert (found.group, found.model, found.info) == ("anthropic/*", "*", {"mode": "chat", "max_tokens": 5})


def test_default_litellm_params_apply_to_every_deployment() -> None:
    settings = {"default_litellm_params": {"timeout": 9, "temperature": 1}}
    entries = [{"model_name": "m", "litellm_params": {"model": "openai/gpt", **own}} for own in ({}, {"timeout": 5})]
    first, second = made(*entries, router_settings=settings)
    assert (first.timeout_s, second.timeout_s, first.defaults) == (9.0, 5.0, {"temperature": b"1"})


def test_ids_depend_on_everything_but_secrets() -> None:
    assert one(api_key="a").id == one(api_key="b").id != one(api_base="http://x").id
    assert len(one().id) == 16


def test_twins_are_numbered_and_own_ids_are_kept() -> None:
    twin = {"model_name": "m", "litellm_params": {"model": "openai/gpt", "api_key": "a"}}
    first, second, third = made(twin, twin, {**twin, "model_info": {"id": "mine"}})
    assert (second.id, third.id) == (f"{first.id}-2", "mine")
    assert problems(*[{**twin, "model_info": {"id": "mine"}}] * 2) == (
        "model_list.1.model_info.id: 'mine' is the id of two deployments (c.yaml:3)",
    )


def with_params(**params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": "a/b", **params}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("gpt", "model_list.0: expected a mapping, got str (c.yaml:2)"),
        ({}, "model_list.0: model_name is missing (c.yaml:2)"),
        (
            {"model_nam": "m", "litellm_params": {"model": "a/b"}},
            "model_list.0: model_name is missing; did you mean it by model_nam? (c.yaml:2)",
        ),
        ({"model_name": "m"}, "model_list.0: litellm_params is missing (c.yaml:2)"),
        ({"model_name": "m", "litellm_params": []}, "model_list.0.litellm_params: expected a mapping, got list (c.yaml:2)"),
        (
            {"model_name": "m", "litellm_params": {"mdel": "x"}},
            "model_list.0.litellm_params: model is missing; did you mean it by mdel? (c.yaml:2)",
        ),
        ({"model_name": 5, "litellm_params": {"model": "a/b"}}, "model_list.0.model_name: expected str, got int 5 (c.yaml:2)"),
        ({"model_name": "m", "litellm_params": {"model": ["a"]}}, "model_list.0.litellm_params.model: expected str, got list (c.yaml:2)"),
        (with_params(rpm="ten"), "model_list.0.litellm_params.rpm: expected int, got str 'ten' (c.yaml:2)"),
        (with_params(rpm=2.9), "model_list.0.litellm_params.rpm: expected int, got float 2.9 (c.yaml:2)"),
        (with_params(weight=-1), "model_list.0.litellm_params.weight: expected float >= 0.0, got int -1"),
        (with_params(timeout=0), "model_list.0.litellm_params.timeout: expected float > 0.0, got int 0"),
        (with_params(extra_body=1), "model_list.0.litellm_params.extra_body: expected a mapping, got int"),
        ({"model_name": "m", "litellm_params": {"model": "a/b"}, "model_info": 3}, "model_list.0.model_info: expected mapping, got int 3"),
        (
            with_params(api_key="os.environ/ABSENT"),
            "model_list.0.litellm_params.api_key: the environment variable ABSENT is not set (c.yaml:2)",
        ),
        (
            with_params(extra_headers={"x": "os.environ/ABSENT"}),
            "model_list.0.litellm_params.extra_headers.x: the environment variable ABSENT is not set (c.yaml:2)",
        ),
        (
            {"model_name": "m", "litellm_params": {"model": "unknown/b"}},
            "model_list.0.litellm_params.model: no enabled plugin provides 'unknown' (c.yaml:2)",
        ),
    ],
)
def test_a_wrong_entry_is_named_with_its_place(entry: Any, message: str) -> None:
    assert any(problem.startswith(message) for problem in problems(entry))


def test_a_wrong_key_is_not_echoed() -> None:
    assert "7770777" not in str(problems(with_params(api_key=7770777)))


def test_the_problems_of_all_entries_are_reported_together() -> None:
    bad = with_params(rpm=-1, tpm="x")
    assert len(problems(bad, {}, bad)) == 6
