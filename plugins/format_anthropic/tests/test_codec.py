from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from routeiq_format_anthropic.names import alias
from routeiq_format_anthropic.plugin import AnthropicFormat
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    MessageEnd,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    replace,
)
from routeiq_sdk.testing import builders
from routeiq_sdk.wire import Asked, Headers, ModelEntry, Signal

from .wire import (
    CODEC,
    PING,
    STOP,
    block,
    call,
    closed,
    data_of,
    encode,
    finish,
    foreign,
    frame,
    opened,
    parse,
    start,
    stream,
    text,
    whole,
    words,
)


def taps(body: bytes) -> tuple[Any, list[Signal]]:
    framer, tap = CODEC.framer(), CODEC.tap(parse())
    return tap, [tap.feed(one) for one in [*framer.feed(body), *framer.close()]]


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (start(), False),
        (PING, False),
        (opened(0, type="text", text=""), False),
        (opened(0, type="thinking", thinking="", signature=""), False),
        (text(0, ""), False),
        (text(0, "a"), True),
        (opened(0, type="tool_use", id="t", name="f", input={}), True),
        (opened(0, type="redacted_thinking", data="x"), True),
        (closed(0), False),
        (finish(), True),
        (finish(None), False),
        (STOP, True),
        ({"type": "novel"}, False),
    ],
)
def test_the_tap_commits_on_content_a_stop_reason_or_the_end(event: dict[str, Any], content: bool) -> None:
    signal = CODEC.tap(parse()).feed(frame(event))
    assert (signal.content, signal.terminal, signal.drop, signal.forward) == (content, event == STOP, False, None)


def test_the_tap_reads_usage_finish_and_completeness() -> None:
    tap, signals = taps(whole(*words("a", "b"), *call(1, '{"usage":{"output_tokens":999}}'), reason="tool_use", input_tokens=61))
    assert (tap.usage.input, tap.usage.output, tap.finish, tap.complete, tap.missing_end()) == (61, 9, "tool_use", True, b"")
    assert not any(signal.drop or signal.error or signal.forward for signal in signals)


def test_the_tap_supplies_the_end_only_after_a_stop_reason() -> None:
    tap, _ = taps(stream(start(), *words("a"), finish()))
    assert tap.complete and tap.missing_end() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    tap, _ = taps(stream(start(), *words("a")))
    assert not tap.complete and tap.missing_end() == b""


def test_the_tap_drops_what_is_malformed_and_gives_up_after_three() -> None:
    bad = b'event: content_block_delta\ndata: {"type":"content_block_delta",\n\n'
    tap, signals = taps(stream(start(), *words("a")[:2]) + bad + bad + stream(text(0, "b")) + bad * 3)
    assert [signal.drop for signal in signals] == [False] * 3 + [True] * 2 + [False] + [True] * 2 + [False]
    assert signals[-1].error is not None and signals[-1].error.kind == "bad_gateway"
    assert tap.dropped == 5


def test_the_tap_takes_what_only_json_reads() -> None:
    tap, signals = taps(stream(start(), words("")[0], text(0, "a\ud83d"), text(0, "\ude00")))
    assert not any(signal.drop for signal in signals) and tap.dropped == 0


def test_the_tap_names_events_that_have_no_name() -> None:
    nameless = frame(text(0, "a")).split(b"\n", 1)[1]
    _, signals = taps(stream(start(), words("")[0]) + nameless + nameless)
    assert [signal.forward for signal in signals[2:]] == [frame(text(0, "a"))] * 2
    assert signals[2].content


@pytest.mark.parametrize(("id", "is_error"), [("msg_1", False), ("msg_2", True)])
def test_the_tap_drops_a_repeated_start_and_refuses_another(id: str, is_error: bool) -> None:
    _, signals = taps(stream(start(), *words("a"), start(id)))
    assert signals[-1].drop is not is_error
    assert (signals[-1].error is not None and signals[-1].error.code == "upstream_restarted") is is_error


def test_the_tap_reports_an_error_event_and_ignores_what_follows_an_end() -> None:
    _, signals = taps(stream({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}))
    assert signals[0].error is not None and signals[0].error.kind == "overloaded"
    _, signals = taps(whole(*words("a")) + stream(PING, *words("b")))
    assert all(signal.drop for signal in signals[-4:])


@pytest.mark.parametrize(
    ("kind", "status", "type"),
    [
        ("invalid_request", 400, "invalid_request_error"),
        ("context_length", 400, "invalid_request_error"),
        ("content_policy", 400, "invalid_request_error"),
        ("authentication", 401, "authentication_error"),
        ("billing", 402, "billing_error"),
        ("permission", 403, "permission_error"),
        ("denied", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("method", 405, "invalid_request_error"),
        ("timeout", 408, "timeout_error"),
        ("conflict", 409, "conflict_error"),
        ("too_large", 413, "request_too_large"),
        ("unprocessable", 422, "invalid_request_error"),
        ("rate_limit", 429, "rate_limit_error"),
        ("headers_too_large", 431, "invalid_request_error"),
        ("server", 500, "api_error"),
        ("bad_gateway", 502, "api_error"),
        ("overloaded", 529, "overloaded_error"),
        ("over_capacity", 503, "overloaded_error"),
        ("draining", 503, "overloaded_error"),
        ("gateway_timeout", 504, "timeout_error"),
        ("version", 505, "api_error"),
    ],
)
def test_each_kind_of_error_has_its_status_and_type(kind: str, status: int, type: str) -> None:
    got, headers, body = CODEC.build_error(Error(kind=kind, message="why", retry_after_s=1.5), "req_1")
    answer = json.loads(body)
    assert (got, answer["type"], answer["error"]["type"], answer["error"]["message"]) == (status, "error", type, "why")
    assert answer["request_id"] == "req_1"
    assert dict(headers)[b"retry-after"] == b"2"
    if kind in ("over_capacity", "draining"):
        assert answer["error"]["details"]["code"] == kind


@pytest.mark.parametrize(
    ("status", "type", "message", "kind"),
    [
        (400, "invalid_request_error", "prompt is too long: 9 tokens", "context_length"),
        (400, "invalid_request_error", "no", "invalid_request"),
        (529, "overloaded_error", "busy", "overloaded"),
        (504, "timeout_error", "slow", "gateway_timeout"),
        (418, "novel", "?", "invalid_request"),
        (599, "novel", "?", "server"),
    ],
)
def test_errors_of_the_provider_are_read_and_pass_unchanged(status: int, type: str, message: str, kind: str) -> None:
    body = json.dumps({"type": "error", "error": {"type": type, "message": message}, "request_id": "r"}).encode()
    error = CODEC.parse_error(status, [(b"retry-after", b"3"), (b"Request-Id", b"req_9")], body)
    assert (error.kind, error.status, error.type, error.message, error.retry_after_s, error.request_id) == (
        kind,
        status,
        type,
        message,
        3.0,
        "req_9",
    )
    assert CODEC.build_error(error, "x")[::2] == (status, body)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"{}"])
def test_an_error_without_an_error_object_is_named_by_its_status(body: bytes) -> None:
    error = CODEC.parse_error(502, [(b"content-type", b"text/html")], body)
    assert (error.kind, error.message) == ("bad_gateway", "upstream answered 502 text/html")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", "bad_gateway"),
        (b"", "bad_gateway"),
        (b"[]", "bad_gateway"),
        (b'{"type":"error","error":{"type":"api_error","message":"m"}}', "server"),
        (b'{"type":"message","content":[]}', None),
        (b'{"input_tokens":3}', None),
    ],
)
def test_a_whole_answer_is_checked(body: bytes, kind: str | None) -> None:
    error = CODEC.check(body)
    assert (error.kind if error else None) == kind


def test_dates_in_retry_after_count_from_the_answers_date() -> None:
    headers = [(b"date", b"Wed, 21 Oct 2026 07:28:00 GMT"), (b"retry-after", b"Wed, 21 Oct 2026 07:28:30 GMT")]
    assert CODEC.parse_error(429, headers, b"").retry_after_s == 30
    assert CODEC.parse_error(429, [(b"retry-after", b"nonsense")], b"").retry_after_s is None
    assert CODEC.parse_error(429, [(b"retry-after-ms", b"1500")], b"").retry_after_s == 1.5


FOREIGN = {
    "text": builders.answer("a", "b"),
    "tool": builders.tool_call("f", {"a": 1}),
    "empty": foreign(),
    "refusal": foreign(*block(0, Refusal(), ("text", "no"))),
    "reasoning": foreign(*block(0, Reasoning(origin="openai"), ("text", "hm"), ("signature", "enc")), *block(1, Text(), ("text", "x"))),
    "hidden reasoning": foreign(*block(0, Reasoning(form="encrypted", seal=Seal("enc", "openai"))), *block(1, Text(), ("text", "x"))),
    "custom": foreign(
        *block(0, ToolCall(call_id="c", name="p", input="", kind="custom"), ("input", "fr"), ("input", "ee")), stop="tool_use"
    ),
    "interleaved": foreign(
        BlockStart(index=0, block=ToolCall(call_id="a", name="f")),
        BlockStart(index=1, block=ToolCall(call_id="b", name="g")),
        BlockDelta(index=0, field="args", value="{"),
        BlockDelta(index=1, field="args", value='{"x":'),
        BlockDelta(index=0, field="args", value="}"),
        BlockDelta(index=1, field="args", value="1}"),
        BlockStop(index=1),
        BlockStop(index=0),
        stop="tool_use",
    ),
    "stop with tools": foreign(*block(0, ToolCall(call_id="c", name="f"), ("args", "{}"))),
    "server tool": foreign(
        *block(0, ToolCall(call_id="c", name="web", owner="provider"), ("args", "{}")), *block(1, Text(), ("text", "x"))
    ),
    "citation": foreign(*block(0, Text(), ("text", "x"), ("citation", '{"type":"url_citation","url_citation":{"url":"u","title":"t"}}'))),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_answers_of_other_providers_keep_the_stream_rules(name: str) -> None:
    body = encode(FOREIGN[name])
    assert CODEC.oracle(body) == []
    framer, decoder = CODEC.framer(), CODEC.decoder()
    events = [event for one in framer.feed(body) for event in decoder.feed(one)]
    streamed, collected = json.loads(CODEC.collect(events, parse(), [])), json.loads(CODEC.collect(FOREIGN[name], parse(), []))
    assert (streamed["content"], streamed["stop_reason"]) == (collected["content"], collected["stop_reason"])
    assert streamed["usage"]["output_tokens"] == collected["usage"]["output_tokens"] == 5


def test_sealed_reasoning_comes_back_for_its_own_family() -> None:
    content = json.loads(CODEC.collect(FOREIGN["reasoning"], parse(), []))["content"]
    assert content[0]["signature"].startswith("rq1.openai.") and content[0]["thinking"] == "hm"
    hidden = json.loads(CODEC.collect(FOREIGN["hidden reasoning"], parse(), []))["content"]
    assert hidden[0]["type"] == "redacted_thinking"
    request = parse(messages=[{"role": "user", "content": "q"}, {"role": "assistant", "content": [*content, hidden[0]]}])
    shown, secret = [part for part in request.messages[1].parts if isinstance(part, Reasoning)]
    assert (shown.text, shown.seal, shown.origin) == ("hm", Seal("enc", "openai"), "openai")
    assert (secret.form, secret.seal) == ("encrypted", Seal("enc", "openai"))
    edits = CODEC.edits(request, builders.deployment())
    assert json.loads(edits["messages"] or b"")[1] == {"role": "assistant", "content": "x"}


@pytest.mark.parametrize("value", ["rq1.", "rq1.openai.!!!", "rq1.openai.AAAA", "rq1.openai." + "A" * 5000])
def test_a_seal_that_does_not_decode_is_dropped(value: str) -> None:
    request = parse(messages=[{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": value}]}])
    [part] = request.messages[0].parts
    assert isinstance(part, Reasoning) and part.seal is None


def test_only_the_first_choice_reaches_the_client() -> None:
    second = [replace(event, choice=1) for event in builders.answer("other")[1:-1]]
    events = [*builders.answer("mine")[:-1], *second, MessageEnd()]
    assert json.loads(CODEC.collect(events, parse(), []))["content"] == [{"type": "text", "text": "mine"}]
    assert b"other" not in encode(events) and CODEC.oracle(encode(events)) == []


def test_a_broken_stream_ends_in_an_error_event_and_nothing_after() -> None:
    error = Error(kind="bad_gateway", message="cut", request_id="req_1")
    body = encode([*builders.answer("a")[:3], error, MessageEnd()])
    last = data_of(body)[-1]
    assert last == {"type": "error", "error": {"type": "api_error", "message": "cut"}, "request_id": "req_1"}
    assert b"message_stop" not in body
    assert encode([error]) == CODEC.stream_error(error, "req_1")


def test_an_alias_goes_back_to_the_clients_name() -> None:
    name = "n" * 200
    request = parse(tools=[{"name": name, "input_schema": {}}])
    body = json.loads(CODEC.collect(builders.tool_call(alias(name), {}), request, []))
    assert body["content"][0]["name"] == name


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        (stream(*words("a"), finish(), STOP), "A1"),
        (stream(start(), *words("a", index=1), finish(), STOP), "A2"),
        (
            whole(
                opened(0, type="text", text=""), {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta"}}, closed(0)
            ),
            "A3",
        ),
        (whole(closed(0)), "A4"),
        (stream(start(), finish(), finish(), STOP), "A5"),
        (stream(start(), finish()), "A6"),
        (whole().replace(b"event: message_stop", b"event: other"), "A7"),
        (whole(*call(0, "[1]"), reason="tool_use"), "A8"),
        (
            whole(
                opened(0, type="thinking"),
                *[{"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta"}}] * 2,
                closed(0),
            ),
            "A9",
        ),
        (stream(start(), finish(output_tokens=-1), STOP), "A10"),
        (whole(*call(0, "{}")), "A11"),
    ],
)
def test_the_oracle_sees_each_violation(events: bytes, rule: str) -> None:
    assert any(found.startswith(rule) for found in CODEC.oracle(events))


def test_models_are_listed_in_the_formats_shape() -> None:
    listed = json.loads(CODEC.models([ModelEntry(id="a"), ModelEntry(id="b")], Asked()))
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("a", "b", False)
    assert json.loads(CODEC.models([], Asked()))["first_id"] is None


def test_the_plugin_registers_its_codec_and_surfaces(tmp_path: Path) -> None:
    plugin = AnthropicFormat()
    assert [codec.name for codec in plugin.register_formats(builders.Context(tmp_path))] == ["anthropic"]
    surfaces = {(surface.method, surface.path): surface for surface in plugin.register_surfaces()}
    assert set(surfaces) == {
        ("POST", "/v1/messages"),
        ("POST", "/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/messages/count_tokens"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model:path}"),
    }
    match = surfaces["GET", "/v1/models"].match
    assert match is not None and match(Headers([(b"anthropic-version", b"2023-06-01")]), "")
    assert not match(Headers([]), "")


@pytest.mark.parametrize(("value", "seconds"), [(b"inf", None), (b"9" * 400, None), (b"-1", None), (b"nan", None), (b"1e9", 86_400)])
def test_an_absurd_wait_is_no_wait(value: bytes, seconds: float | None) -> None:
    assert CODEC.parse_error(429, [(b"retry-after", value)], b"").retry_after_s == seconds


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
def test_an_error_with_an_odd_wait_is_written_without_it(seconds: float) -> None:
    headers = CODEC.build_error(Error(kind="rate_limit", message="why", retry_after_s=seconds), "r")[1]
    assert b"retry-after" not in dict(headers)
