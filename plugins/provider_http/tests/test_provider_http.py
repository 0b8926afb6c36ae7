"""What providers are sent and what of their answers is passed on, down to the socket."""

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
from routeiq_sdk import Call, UpstreamError
from routeiq_sdk.testing import Context, Exchange, FakeHttp, find_manifest
from routeiq_sdk.wire import Headers

from .deployments import CHAT, ROWS, made


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
    calm = b"x" + KEY.encode()
    assert await answered(200, [calm]).chunk() == calm, "what is no error is not searched"


@pytest.mark.parametrize("at", range(1, len("error")))
async def test_an_error_is_seen_wherever_its_first_word_is_cut(at: int) -> None:
    data = echo()
    answer, parts = answered(200, [b"data: " + data[:at], data[at:], b""]), []
    while part := await answer.chunk():
        parts.append(part)
    assert len(b"".join(parts)) == len(data) + 6 and KEY.encode() not in b"".join(parts)


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
