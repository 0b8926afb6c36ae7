"""What nobody asked to change arrives as it was sent; what must not travel does not."""

from __future__ import annotations

import json

import pytest

from .harness import CALLS, KEY, GatewayProcess, chat
from .wall import TEXT, Wall, told
from .wall_wire import Anthropic, OpenAi

UPSTREAM_KEYS = {"gpt": "sk-one", "other": "sk-two", "claude": "sk-three"}
NAMES = {"gpt": "gpt-real", "other": "other-real", "claude": "claude-real"}
PAIRS = [(format, model) for format in CALLS for model in UPSTREAM_KEYS]
WIRES = {"openai": OpenAi, "anthropic": Anthropic}
CARRIERS = [
    {"authorization": f"Bearer {KEY}"},
    {"x-api-key": KEY},
    {"x-litellm-api-key": KEY},
    {"x-litellm-api-key": f"Bearer {KEY}"},
    {"x-litellm-api-key": KEY, "authorization": "Bearer sk-clients-own"},
    {"x-litellm-api-key": KEY, "x-api-key": "sk-clients-own"},
]


def same_format(model: str) -> str:
    return "anthropic" if model == "claude" else "openai"


@pytest.mark.parametrize("carrier", CARRIERS, ids="+".join)
@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_the_right_upstream_gets_the_right_key_and_never_the_clients(
    gateway: GatewayProcess, wall: Wall, tag: str, carrier: dict[str, str], format: str, model: str
) -> None:
    path, build = CALLS[format]
    with gateway.client(None, headers=carrier) as client:
        answer = client.post(path, json=build(f"Hello {tag}.", model))
    assert answer.status_code == 200, answer.text
    exchange = wall.find(tag)
    assert exchange.json()["model"] == NAMES[model]
    expected = {"x-api-key": UPSTREAM_KEYS[model]} if model == "claude" else {"authorization": f"Bearer {UPSTREAM_KEYS[model]}"}
    sent = {name: value for name, value in exchange.headers if name in ("authorization", "x-api-key", "x-litellm-api-key")}
    assert sent == expected
    everything = repr(exchange.headers) + exchange.target + exchange.body.decode()
    assert KEY not in everything and "sk-clients-own" not in everything


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_every_pair_of_formats_answers_whole(gateway: GatewayProcess, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("Hello.", model))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    text = body["choices"][0]["message"]["content"] if format == "openai" else body["content"][0]["text"]
    assert text == "".join(TEXT)


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_every_pair_of_formats_streams_by_the_rules_of_the_clients_format(
    gateway: GatewayProcess, oracles, format: str, model: str
) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("Hello.", model, stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert oracles(format, answer.content) == []
    assert "wäll" in answer.text or "w\\u00e4ll" in answer.text


@pytest.mark.parametrize("model", list(UPSTREAM_KEYS))
def test_a_whole_answer_of_the_same_format_is_byte_identical(gateway: GatewayProcess, model: str) -> None:
    path, build = CALLS[same_format(model)]
    with gateway.client() as client:
        answer = client.post(path, json=build("Hello.", model))
    assert answer.content == WIRES[same_format(model)](NAMES[model]).whole("".join(TEXT))


@pytest.mark.parametrize("model", list(UPSTREAM_KEYS))
def test_a_stream_of_the_same_format_is_byte_identical(gateway: GatewayProcess, model: str) -> None:
    path, build = CALLS[same_format(model)]
    more = {"stream_options": {"include_usage": True}} if same_format(model) == "openai" else {}
    with gateway.client() as client:
        answer = client.post(path, json=build("Hello.", model, stream=True, **more))
    assert answer.content == b"".join(told(WIRES[same_format(model)](NAMES[model])))


def test_usage_that_only_the_gateway_asked_for_does_not_reach_the_client(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", json=chat(f"Hello {tag}.", stream=True))
    asked = bool((wall.find(tag).json().get("stream_options") or {}).get("include_usage"))
    expected = [event for event in told(OpenAi("gpt-real", asked)) if b'"prompt_tokens"' not in event]
    assert answer.content == b"".join(expected)


@pytest.mark.parametrize(("format", "model"), [("openai", "gpt"), ("anthropic", "claude")])
def test_a_request_of_the_same_format_arrives_as_it_was_written(
    gateway: GatewayProcess, wall: Wall, tag: str, format: str, model: str
) -> None:
    body = (
        '{ "x_unknown" : {"b":1, "a":12345678901234567890}, "temperature":1.50,\n\t"model"\n:\n"%s",'
        '"messages":[ {"role":"user","content":"%s \\u00e9 \\ud83d\\ude00 \u00e9"} ], "max_tokens" :100, "top_p":null, "x_number":1e2 }'
        % (model, tag)
    ).encode()
    with gateway.client() as client:
        answer = client.post(CALLS[format][0], content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert wall.find(tag).body == body.replace(f'"{model}"'.encode(), f'"{NAMES[model]}"'.encode(), 1)


def test_unknown_fields_survive_in_both_directions(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", json=chat(f"Hello {tag}.", x_new_feature={"deep": [1, None]}))
    assert wall.find(tag).json()["x_new_feature"] == {"deep": [1, None]}
    assert answer.json()["x_wall"] == {"big": 12345678901234567890, "price": 1.5, "nothing": None}


def test_request_defaults_of_a_deployment_fill_what_the_client_left_out(
    gateway_with_defaults: GatewayProcess, wall: Wall, tag: str
) -> None:
    with gateway_with_defaults.client() as client:
        client.post("/v1/chat/completions", json=chat(f"{tag}one"))
        client.post("/v1/chat/completions", json=chat(f"{tag}two", temperature=0.9))
    assert wall.find(f"{tag}one").json()["temperature"] == 0.25
    assert wall.find(f"{tag}two").json()["temperature"] == 0.9


def test_wildcard_names_reach_the_model_they_stand_for(gateway_with_defaults: GatewayProcess, wall: Wall, tag: str) -> None:
    with gateway_with_defaults.client() as client:
        answer = client.post("/v1/chat/completions", json=chat(f"Hello {tag}.", "openai/any-name"))
    assert answer.status_code == 200, answer.text
    assert wall.find(tag).json()["model"] == "any-name"


def test_provider_headers_for_betas_go_up_and_hop_headers_do_not(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    path, build = CALLS["anthropic"]
    headers = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "one-2025,two-2025",
        "cookie": "session=secret",
        "connection": "close, x-hop",
        "x-hop": "1",
    }
    with gateway.client(headers=headers) as client:
        client.post(path, json=build(f"Hello {tag}."))
    exchange = wall.find(tag)
    assert exchange.header("anthropic-version") == "2023-06-01"
    assert exchange.header("anthropic-beta") == "one-2025,two-2025"
    assert exchange.header("cookie") is None and exchange.header("x-hop") is None


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("format", list(CALLS))
def test_a_gzipped_answer_is_readable(gateway: GatewayProcess, format: str, stream: bool) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:zipped", "gpt", stream=stream), headers={"accept-encoding": "gzip"})
        plain = client.post(path, json=build("wall:zipped", "gpt", stream=stream), headers={"accept-encoding": "identity"})
    assert "wäll" in answer.text or "w\\u00e4ll" in answer.text
    assert "content-encoding" not in plain.headers
    assert "wäll" in plain.text or "w\\u00e4ll" in plain.text


def test_whole_answers_are_json_and_carry_no_hop_headers(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", json=chat("Hello."))
    assert answer.headers["content-type"].startswith("application/json")
    assert json.loads(answer.content)
    assert "transfer-encoding" not in answer.headers
