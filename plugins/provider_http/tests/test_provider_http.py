"""Addresses, headers and keys of deployments, and what a provider's socket sees of them."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from routeiq_provider_http.binding import bind
from routeiq_provider_http.config import Config
from routeiq_provider_http.encoding import STEP_BYTES, identity
from routeiq_provider_http.hiding import forms, hiding
from routeiq_provider_http.plugin import HttpProvider, HttpProviders
from routeiq_provider_http.table import PROVIDERS
from routeiq_sdk import Call, ConfigError, Deployment, Secret, UpstreamError
from routeiq_sdk.testing import Context, Exchange, FakeHttp, deployment, find_manifest
from routeiq_sdk.wire import Headers

ROWS = {row.name: row for row in PROVIDERS}
CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
GENERATE = "/v1beta/models/g:generateContent"


def made(provider: str = "openai", key: str | None = "sk-1", **fields: Any) -> Deployment:
    return deployment("group", provider=provider, model="model", api_key=Secret(key) if key is not None else None, **fields)


def url(provider: str, path: str, api_base: str | None = None) -> str:
    return bind(ROWS[provider], made(provider, api_base=api_base)).url(path)


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


def provider(name: str) -> HttpProvider:
    return next(each for each in HttpProviders(Config()).register_providers() if each.name == name)  # type: ignore[return-value]


SENT = [
    (b"authorization", b"Bearer client"), (b"x-api-key", b"client"), (b"cookie", b"c"), (b"user-agent", b"sdk"), (b"host", b"gateway"),
    (b"openai-beta", b"assistants=v2"), (b"openai-organization", b"org"), (b"openai-project", b"p"), (b"idempotency-key", b"i"),
    (b"anthropic-version", b"2023-06-01"), (b"anthropic-beta", b"a"), (b"anthropic-beta", b"b"),
    (b"anthropic-dangerous-direct-browser-access", b"true"), (b"traceparent", b"t"), (b"x-stainless-lang", b"python"),
    (b"x-forwarded-for", b"10.0.0.1"),
]  # fmt: skip


def test_only_listed_headers_of_the_client_reach_a_provider() -> None:
    headers = Headers(SENT)
    assert [name for name, _ in provider("mistral").forward_headers(headers)] == ["openai-beta", "idempotency-key", "traceparent"]
    assert provider("anthropic").forward_headers(headers) == (
        ("idempotency-key", "i"), ("anthropic-version", "2023-06-01"), ("anthropic-beta", "a"), ("anthropic-beta", "b"),
        ("traceparent", "t"),
    )  # fmt: skip


def test_only_listed_headers_of_a_provider_reach_the_client() -> None:
    kept = [
        (b"retry-after", b"1"), (b"retry-after-ms", b"1"), (b"x-should-retry", b"false"), (b"x-ratelimit-limit-requests", b"1"),
        (b"anthropic-ratelimit-tokens-limit", b"1"), (b"ratelimit-policy", b"p"), (b"request-id", b"r"), (b"openai-processing-ms", b"1"),
        (b"anthropic-organization-id", b"o"), (b"llm_provider-x", b"1"),
    ]  # fmt: skip
    dropped = [
        (b"set-cookie", b"a=b"), (b"server", b"s"), (b"connection", b"close"), (b"transfer-encoding", b"x"), (b"content-length", b"1"),
        (b"content-encoding", b"gzip"), (b"content-type", b"application/json"), (b"x-routeiq-path", b"forged"),
    ]  # fmt: skip
    found = provider("openai").return_headers([*kept, *dropped, (b"x-request-id", b"up")])
    assert found == [*kept, (b"x-upstream-request-id", b"up")]


def test_a_header_value_that_http_does_not_allow_is_dropped() -> None:
    bad = [(b"x-ratelimit-a", b"1" + bytes([code])) for code in (*range(9), *range(10, 32), 127)]
    good = [(b"x-ratelimit-b", b""), (b"x-ratelimit-c", b"a\tb c"), (b"x-ratelimit-d", b"\xc3\xa4")]
    assert provider("openai").return_headers([*bad, *good, (b"x-request-id", b"a\x0bb")]) == good


class Body:
    """An answer in pieces."""

    status = 200

    def __init__(self, pieces: Sequence[bytes], encoding: str = "gzip") -> None:
        self.headers = [(b"content-type", b"text/plain"), (b"content-encoding", encoding.encode()), (b"content-length", b"9")]
        self.pieces, self.closed = list(pieces), False

    async def chunk(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def read(self, limit_bytes: int) -> bytes:
        raise AssertionError("a compressed body is read in pieces")

    def close(self) -> None:
        self.closed = True


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


TEXT = b"data: {}\n\n" * 500


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(TEXT)), ("X-GZIP", gzip.compress(TEXT)), ("deflate", zlib.compress(TEXT)), ("deflate", bare_deflate(TEXT))],
)
async def test_a_compressed_answer_reads_as_plain_bytes_however_it_is_cut(encoding: str, packed: bytes, size: int) -> None:
    answer = identity(Body([packed[at : at + size] for at in range(0, len(packed), size)], encoding))
    assert dict(answer.headers) == {b"content-type": b"text/plain"}
    assert await answer.read(len(TEXT)) == TEXT


async def test_gzip_members_are_joined_and_padding_is_ignored() -> None:
    answer = identity(Body([gzip.compress(b"one ") + gzip.compress(b"two"), b"\0\0\0"]))
    assert await answer.read(100) == b"one two"


async def test_a_small_chunk_that_inflates_to_much_is_given_in_bounded_steps() -> None:
    bomb = gzip.compress(b"\0" * 50 * STEP_BYTES)
    answer, sizes = identity(Body([bomb])), []
    while data := await answer.chunk():
        sizes.append(len(data))
    assert (max(sizes), sum(sizes)) == (STEP_BYTES, 50 * STEP_BYTES)
    body = Body([bomb])
    with pytest.raises(UpstreamError, match="larger than"):
        await identity(body).read(10 * STEP_BYTES)
    assert body.closed


@pytest.mark.parametrize("packed", [gzip.compress(b"x" * 10 * STEP_BYTES), gzip.compress(b"") * 100 + gzip.compress(b"x")])
async def test_others_have_their_turn_while_one_chunk_is_inflated(packed: bytes) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await identity(Body([packed])).read(10 * STEP_BYTES)
    task.cancel()
    assert turns >= 9


KEY = 'sk-"quoted"/and&long'
EXTRA = {"Cookie": "s=session-1", "X-Auth": "Token abcdefgh", "X-Title": "my application", "X-Short": "short"}
SECRETS = bind(ROWS["openai"], made(key=KEY, params={"extra_headers": EXTRA})).secrets


def answered(status: int, pieces: Sequence[bytes], headers: Sequence[tuple[bytes, bytes]] = ()) -> Any:
    body = Body(pieces, "identity")
    body.status, body.headers = status, [*body.headers, *headers]
    body.read = lambda _: asyncio.sleep(0, b"".join(pieces))  # type: ignore[method-assign]
    return hiding(body, SECRETS)


def echo(escape: Callable[[str], str] = str) -> bytes:
    return f"error: Bearer {escape(KEY)}; {escape(KEY)} s=session-1 abcdefgh; my application, short".encode()


SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: json.dumps(text)[1:-1].replace("&", "\\u0026"),
]


@pytest.mark.parametrize("escape", SPELLINGS)
@pytest.mark.parametrize("size", [1, 5, 30, 1000])
async def test_an_error_does_not_show_the_keys_it_was_sent(escape: Callable[[str], str], size: int) -> None:
    data, expected = echo(escape), b"error: ***; *** *** ***; my application, short"
    assert await answered(401, [data]).read(1000) == expected
    answer, parts = answered(500, [data[at : at + size] for at in range(0, len(data), size)]), []
    while part := await answer.chunk():
        parts.append(part)
    assert b"".join(parts) == expected


def test_the_headers_of_an_error_show_no_key_and_can_be_sent() -> None:
    answer = answered(400, [], [(b"openai-a", KEY.encode()), (b"openai-b", b"a\x0bb")])
    assert list(answer.headers) == [(b"content-type", b"text/plain"), (b"content-encoding", b"identity"), (b"openai-a", b"***")]


@pytest.mark.parametrize("escape", SPELLINGS)
async def test_an_error_inside_an_answer_keeps_its_length_and_loses_its_keys(escape: Callable[[str], str]) -> None:
    data = echo(escape)
    answer = answered(200, [data, b"x" + KEY.encode()])
    for found in (await answer.chunk(), (await answer.read(1000))[: len(data)]):
        assert len(found) == len(data) and escape(KEY).encode() not in found and b"session-1" not in found
        assert found.endswith(b"; my application, short")
    assert await answer.chunk() == b"x" + KEY.encode(), "what is no error is not searched"


def test_an_answer_without_keys_is_given_as_it_is() -> None:
    body: Any = Body([])
    assert forms(["", "short"]) == () and hiding(body, ()) is body


@pytest.mark.parametrize(("pieces", "problem"), [([gzip.compress(TEXT)[:-9]], "ended inside"), ([b"plain text"], "no valid gzip")])
async def test_compressed_data_that_is_damaged_is_an_error(pieces: list[bytes], problem: str) -> None:
    with pytest.raises(UpstreamError, match=problem) as caught:
        await identity(Body(pieces)).read(1_000_000)
    assert caught.value.phase == "body"


def test_an_encoding_that_nobody_asked_for_is_refused_and_the_answer_closed() -> None:
    body = Body([b"x"], "br")
    with pytest.raises(UpstreamError, match="'br'"):
        identity(body)
    assert body.closed


@asynccontextmanager
async def connected(respond: Callable[[Exchange], Awaitable[None]], tmp_path: Path) -> AsyncIterator[tuple[HttpProviders, FakeHttp]]:
    """The plugin with the installed pool, and a provider on a real socket."""
    pool, plugin = installed_pool(), HttpProviders(Config())
    ctx = Context(tmp_path, services=pool.provide_services())
    async with FakeHttp(respond) as http, pool.lifespan(), plugin.lifespan(ctx):
        yield plugin, http


def installed_pool() -> Any:
    """Whatever plugin is installed as `http_client`, with its default configuration."""
    manifest = find_manifest("http_client")
    (module, factory), (home, config) = manifest.factory.split(":"), str(manifest.config).split(":")
    return getattr(import_module(module), factory)(getattr(import_module(home), config)())


async def test_a_call_reaches_the_socket_with_its_key_and_body_unchanged(tmp_path: Path) -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.reply(200, gzip.compress(b'{"ok": 1}'), [("content-encoding", "gzip")])

    async with connected(respond, tmp_path) as (plugin, http):
        chosen = made("openai", api_base=http.url)
        upstream = next(each for each in plugin.register_providers() if each.name == "openai").bind(chosen)  # type: ignore[union-attr]
        call = Call(deployment=chosen, path=CHAT, headers=(("traceparent", "t"),), body=b'{ "model" : "m" }', stream=False, query="a=b")
        answer = await upstream.open(call)
        assert await answer.read(100) == b'{"ok": 1}'
        [exchange] = http.exchanges
        assert (exchange.method, exchange.target, exchange.body) == ("POST", "/v1/chat/completions", call.body)
        assert dict(exchange.headers) == {
            "host": http.url.removeprefix("http://"), "accept-encoding": "identity", "authorization": "Bearer sk-1", "content-length": "17",
            "content-type": "application/json", "accept": "application/json", "user-agent": "routeiq", "traceparent": "t",
        }  # fmt: skip
