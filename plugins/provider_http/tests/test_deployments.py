"""Addresses, formats, headers and keys of deployments."""

from __future__ import annotations

from typing import Any

import pytest
from routeiq_provider_http.binding import bind
from routeiq_provider_http.config import Config
from routeiq_provider_http.plugin import HttpProviders
from routeiq_provider_http.table import PROVIDERS
from routeiq_sdk import ConfigError, Secret
from routeiq_sdk.wire import Headers

from .deployments import CHAT, COUNT, GENERATE, MESSAGES, ROWS, made, url


@pytest.mark.parametrize(
    ("provider", "api_base", "path", "expected"),
    [
        ("openai", None, CHAT, "https://api.openai.com/v1/chat/completions"),
        ("openai", "http://h:1/v1", CHAT, "http://h:1/v1/chat/completions"),
        ("openai", "http://h:1/v1/", CHAT, "http://h:1/v1/chat/completions"),
        ("openai", "http://h:1", CHAT, "http://h:1/v1/chat/completions"),
        ("openai", "http://h:1/", "/v1/embeddings", "http://h:1/v1/embeddings"),
        ("openai", "http://h:1/v1/chat/completions", CHAT, "http://h:1/v1/chat/completions"),
        ("openai", "http://h:1/v1/chat/completions", "/v1/embeddings", "http://h:1/v1/embeddings"),
        ("openai", "https://h/api/paas/v4", CHAT, "https://h/api/paas/v4/chat/completions"),
        ("openai", "https://h/v1beta/openai/", CHAT, "https://h/v1beta/openai/chat/completions"),
        ("openai", "http://h:1", "/chat/completions", "http://h:1/v1/chat/completions"),
        ("openai", "http://h:1/v1/responses", "/responses", "http://h:1/v1/responses"),
        ("openai", "https://h/serving-endpoints", CHAT, "https://h/serving-endpoints/chat/completions"),
        ("groq", None, CHAT, "https://api.groq.com/openai/v1/chat/completions"),
        ("perplexity", None, CHAT, "https://api.perplexity.ai/chat/completions"),
        ("ollama", "http://localhost:11434", CHAT, "http://localhost:11434/v1/chat/completions"),
        ("hosted_vllm", "http://[::1]:8000/v1", CHAT, "http://[::1]:8000/v1/chat/completions"),
        ("anthropic", None, MESSAGES, "https://api.anthropic.com/v1/messages"),
        ("anthropic", "http://h:1/v1", COUNT, "http://h:1/v1/messages/count_tokens"),
        ("anthropic", "http://h:1/v1/messages", MESSAGES, "http://h:1/v1/messages"),
        ("anthropic", "http://h:1/v1/messages", COUNT, "http://h:1/v1/messages/count_tokens"),
        ("anthropic", "https://h/anthropic", MESSAGES, "https://h/anthropic/v1/messages"),
        ("gemini", None, "/ws/google.ai.x", "https://generativelanguage.googleapis.com/ws/google.ai.x"),
        ("gemini", "http://h:1/v1beta", "/upload/v1beta/files", "http://h:1/upload/v1beta/files"),
        ("gemini", None, GENERATE, "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent"),
        ("gemini", "http://h:1/v1", GENERATE, "http://h:1/v1/models/g:generateContent"),
        ("gemini", "http://h:1", f"{GENERATE}?alt=sse", "http://h:1/v1beta/models/g:generateContent?alt=sse"),
        ("vertex_ai", None, GENERATE, "https://aiplatform.googleapis.com/v1/publishers/google/models/g:generateContent"),
        (
            "azure",
            "https://n.openai.azure.com",
            CHAT,
            "https://n.openai.azure.com/openai/deployments/model/chat/completions?api-version=2024-10-21",
        ),
        ("azure", "https://n.openai.azure.com/", "/v1/files", "https://n.openai.azure.com/openai/files?api-version=2024-10-21"),
        ("azure", "https://n.openai.azure.com/openai/v1", CHAT, "https://n.openai.azure.com/openai/v1/chat/completions"),
        ("azure", "https://h/openai/deployments/d", CHAT, "https://h/openai/deployments/d/chat/completions?api-version=2024-10-21"),
    ],
)
def test_base_and_path_are_joined_as_documented(provider: str, api_base: str | None, path: str, expected: str) -> None:
    assert url(provider, path, api_base) == expected


def test_of_a_query_only_what_the_provider_knows_follows_the_path() -> None:
    target = bind(ROWS["anthropic"], made("anthropic"))
    assert target.url(MESSAGES, "beta=true&key=sk-1") == "https://api.anthropic.com/v1/messages?beta=true"
    assert target.url(MESSAGES, "api_key=sk-1") == "https://api.anthropic.com/v1/messages"


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_every_provider_of_the_table_can_be_bound(row: Any) -> None:
    assert url(row.name, "/v1/x", row.base or "http://h:1").startswith(("https://", "http://h:1", "http://localhost", "http://127."))


@pytest.mark.parametrize(
    ("provider", "fields", "problem"),
    [
        ("openai", {"key": None}, "no api_key"),
        ("openai", {"key": ""}, "no api_key"),
        ("anthropic", {"key": None}, "no api_key"),
        ("openai", {"key": "sk-1\n"}, "api_key holds"),
        ("openai", {"key": "schlüssel"}, "api_key holds"),
        ("hosted_vllm", {}, "no api_base"),
        ("openai", {"api_base": "h:1/v1"}, "api_base must be"),
        ("openai", {"api_base": "ftp://h/v1"}, "api_base must be"),
        ("openai", {"api_base": "http://h/v1?api-version=1"}, "api_base must be"),
        ("openai", {"api_base": "http://user:password@h/v1"}, "api_base must be"),
        ("openai", {"api_base": "http://h:port/v1"}, "api_base must be"),
        ("openai", {"api_base": "http://h /v1"}, "api_base must be"),
        ("openai", {"params": {"extra_headers": ["a"]}}, "extra_headers must map"),
        ("openai", {"params": {"extra_headers": {"x-a": "1\r\nx-b: 2"}}}, "'x-a' must be text"),
        ("openai", {"params": {"extra_headers": {"x-a": 1}}}, "'x-a' must be text"),
        ("openai", {"params": {"extra_headers": {"Content-Length": "1"}}}, "may not set 'content-length'"),
        ("openai", {"params": {"extra_headers": {"x a": "1"}}}, "may not set 'x a'"),
    ],
)
def test_a_deployment_that_cannot_work_is_named_and_its_secrets_are_not(provider: str, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        bind(ROWS[provider], made(provider, **fields))
    text = str(caught.value)
    assert f"'group' ({provider}/model)" in text
    assert all(secret not in text for secret in ("sk-1", "schl", "password"))


def test_all_problems_of_a_deployment_come_together() -> None:
    with pytest.raises(ConfigError) as caught:
        bind(ROWS["openai"], made(key=None, params={"extra_headers": {"host": "h"}}))
    assert len(caught.value.problems) == 2


def test_a_key_is_not_needed_with_another_base_a_local_provider_or_own_headers() -> None:
    for provider, fields in [
        ("openai", {"api_base": "http://h:1"}),
        ("ollama", {}),
        ("openai", {"params": {"extra_headers": {"Authorization": "Token t"}}}),
    ]:
        headers = dict(bind(ROWS[provider], made(provider, key=None, **fields)).headers(()))
        assert headers.get("authorization") == ("Token t" if "params" in fields else None)


def test_keys_travel_as_the_provider_wants_them() -> None:
    assert dict(bind(ROWS["groq"], made("groq")).headers(()))["authorization"] == "Bearer sk-1"
    headers = dict(bind(ROWS["anthropic"], made("anthropic")).headers(()))
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sk-1", "2023-06-01")
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("params", "location"),
    [
        ({"vertex_project": "p", "vertex_location": "europe-west4"}, "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"),
        ({"vertex_project": "p"}, "https://aiplatform.googleapis.com/v1/projects/p/locations/global"),
    ],
)  # fmt: skip
def test_vertex_with_a_project_has_the_regional_address(params: dict[str, Any], location: str) -> None:
    target = bind(ROWS["vertex_ai"], made("vertex_ai", key="ya29.token", params=params))
    assert target.url(GENERATE) == f"{location}/publishers/google/models/g:generateContent"
    assert dict(target.headers(()))["authorization"] == "Bearer ya29.token"


def test_azure_takes_its_version_and_key_its_own_way() -> None:
    target = bind(ROWS["azure"], made("azure", api_base="https://n.openai.azure.com", params={"api_version": "2025-01-01"}))
    assert target.url(CHAT).endswith("?api-version=2025-01-01")
    headers = dict(target.headers(()))
    assert headers["api-key"] == "sk-1"
    assert "authorization" not in headers


def test_a_key_of_the_environment_goes_only_to_the_providers_own_address() -> None:
    made_by = {each.name: each for each in HttpProviders(Config(groq_api_key=Secret("gsk-1"))).register_providers()}
    assert dict(made_by["groq"].bind(made("groq", key=None))._target.headers(()))["authorization"] == "Bearer gsk-1"
    elsewhere = made_by["groq"].bind(made("groq", key=None, api_base="http://h:1"))
    assert "authorization" not in dict(elsewhere._target.headers(()))


@pytest.mark.parametrize(
    ("provider", "info", "formats"),
    [
        ("openai", {}, ("openai", "responses")),
        ("openai", {"mode": "chat"}, ("openai",)),
        ("openai", {"mode": "responses"}, ("responses",)),
        ("hosted_vllm", {"mode": "completion"}, ("openai_completions",)),
        ("anthropic", {"mode": "chat"}, ("anthropic",)),
    ],
)
def test_the_mode_of_a_model_says_which_format_it_is_asked_in(provider: str, info: dict[str, Any], formats: tuple[str, ...]) -> None:
    assert bind(ROWS[provider], made(provider, api_base="http://h:1", info=info)).formats == formats


PASSING = {"pass_client_credentials": True}
OAUTH = "sk-ant-oat01-x"
BEARER = {"authorization": f"Bearer {OAUTH}", "anthropic-beta": "oauth-2025-04-20"}


@pytest.mark.parametrize(
    ("provider", "params", "sent", "expected"),
    [
        ("anthropic", PASSING, {"x-api-key": "sk-ant-c"}, {"x-api-key": "sk-ant-c"}),
        ("anthropic", PASSING, {"authorization": f"Bearer {OAUTH}"}, BEARER),
        ("anthropic", PASSING, {"x-api-key": OAUTH}, BEARER),
        ("anthropic", PASSING, {}, {"x-api-key": "sk-1"}),
        ("anthropic", {}, {"x-api-key": "sk-ant-c"}, {"x-api-key": "sk-1"}),
        ("openai", PASSING, {"authorization": "Bearer sk-c"}, {"authorization": "Bearer sk-c"}),
        ("openai", PASSING, {"authorization": "Bearer sk-ant-c"}, {"authorization": "Bearer sk-1"}),
        ("openai", PASSING, {"x-goog-api-key": "g"}, {"authorization": "Bearer sk-1"}),
        ("gemini", PASSING, {"x-goog-api-key": "g"}, {"x-goog-api-key": "g"}),
    ],
)  # fmt: skip
def test_a_clients_own_credential_goes_only_where_it_is_configured_and_meant(
    provider: str, params: dict[str, Any], sent: dict[str, str], expected: dict[str, str]
) -> None:
    target = bind(ROWS[provider], made(provider, params=params))
    headers = dict(target.headers((), {name: Secret(value) for name, value in sent.items()}))
    known = ("authorization", "x-api-key", "x-goog-api-key", "anthropic-beta")
    assert {name: value for name, value in headers.items() if name in known} == expected


def test_the_beta_of_an_oauth_token_is_added_once_and_last() -> None:
    target = bind(ROWS["anthropic"], made("anthropic", key=OAUTH))
    given = (("anthropic-beta", "a, oauth-2025-04-20"), ("anthropic-beta", "b"))
    assert dict(target.headers(given))["anthropic-beta"] == "a,oauth-2025-04-20,b"
    assert dict(target.headers((("anthropic-beta", "a"),)))["anthropic-beta"] == "a,oauth-2025-04-20"


def test_headers_of_the_configuration_pass_too() -> None:
    config = Config(forward_headers={"*": ("X-Team",), "groq": ("x-groq",)}, return_headers={"groq": ("x-region",)})
    groq = next(each for each in HttpProviders(config).register_providers() if each.name == "groq")
    assert groq.forward_headers(Headers([(b"x-team", b"1"), (b"x-groq", b"2"), (b"x-other", b"3")])) == (("x-team", "1"), ("x-groq", "2"))
    assert groq.return_headers([(b"x-region", b"eu"), (b"x-other", b"1")]) == [(b"x-region", b"eu")]


def test_headers_of_the_deployment_win_and_defaults_give_way() -> None:
    params = {"organization": "org-1", "extra_headers": {"X-Team": "blue"}}
    target = bind(ROWS["openai"], made(params=params))
    headers = target.headers((("authorization", "Bearer x"), ("x-team", "red"), ("content-type", "multipart/form-data"), ("x-own", "1")))
    assert len(headers) == len(dict(headers))
    assert dict(headers) == {
        "authorization": "Bearer sk-1", "openai-organization": "org-1", "x-team": "blue", "content-type": "multipart/form-data",
        "accept": "application/json", "user-agent": "routeiq", "x-own": "1",
    }  # fmt: skip
    anthropic = bind(ROWS["anthropic"], made("anthropic"))
    assert dict(anthropic.headers((("anthropic-version", "2024-01-01"),)))["anthropic-version"] == "2024-01-01"
