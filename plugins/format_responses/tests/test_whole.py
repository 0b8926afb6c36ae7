"""Whole answers: the same events as their stream, and back."""

from __future__ import annotations

import json

import pytest
from routeiq_sdk.stream import Error, MessageEnd, replace
from routeiq_sdk.testing import answer, check_events

from .test_decode import SEARCH, STREAMS
from .wire import CODEC, USAGE, asked, call, decoded, joined, message, response

ITEMS = [
    {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
    SEARCH,
    message("Hi"),
    call('{"n":1e400,"a":1,"a":2}'),
    {"id": "zz_1", "type": "hologram_call", "x": 12345678901234567890},
]
BODY = json.dumps(response("completed", ITEMS, usage=USAGE), indent=1).encode()


def test_untouched_it_keeps_its_bytes() -> None:
    events = CODEC.explode(BODY)
    assert check_events(events) == [] and isinstance(events[-1], MessageEnd)
    assert CODEC.collect(events, asked(), []) == BODY


def test_written_anew_it_keeps_items_ids_and_unknown_members() -> None:
    events = [replace(event) for event in CODEC.explode(BODY)]
    made = json.loads(CODEC.collect(events, asked(), []))
    assert made["output"] == ITEMS
    assert (made["id"], made["x_odd"], made["usage"], made["status"]) == ("resp_1", 1.5, USAGE, "completed")
    assert b"1e400" in CODEC.collect(events, asked(), []) and b"12345678901234567890" in CODEC.collect(events, asked(), [])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_and_its_whole_answer_say_the_same(name: str) -> None:
    streamed = decoded(STREAMS[name].made)
    whole = CODEC.explode(CODEC.collect([replace(event) for event in streamed], asked(), []))
    for field in ("text", "args", "input"):
        said = {index: text for index, text in joined(whole, field).items() if text != "\n\n"}
        assert "".join(said.values()) == "".join(joined(streamed, field).values())


def test_an_answer_of_another_format_is_a_response() -> None:
    made = json.loads(CODEC.collect(answer("He", "llo"), asked(), []))
    assert made["output"][0]["content"][0]["text"] == "Hello" and made["object"] == "response"
    assert CODEC.check(json.dumps(made).encode()) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "bad_gateway"), (b"<html>", "bad_gateway"), (b"{}", "bad_gateway"), (b"[1]", "bad_gateway"),
        (b'{"error":{"message":"x","code":"rate_limit_exceeded"}}', "rate_limit"),
        (json.dumps(response("failed", error={"code": "server_error", "message": "x"})).encode(), "server"),
        (json.dumps(response("failed")).encode(), "bad_gateway"), (json.dumps(response("cancelled")).encode(), "cancelled"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(body: bytes, kind: str) -> None:
    wrong = CODEC.check(body)
    assert wrong is not None and wrong.kind == kind
    assert isinstance(CODEC.explode(body)[-1], Error)


def test_what_is_accepted() -> None:
    assert CODEC.check(json.dumps(response("queued")).encode()) is None
    assert CODEC.check(b'{"object":"response.input_tokens","input_tokens":3}') is None
    usage = CODEC.usage(BODY)
    assert usage is not None and usage.total() == 15
    assert json.loads(CODEC.count_reply(3)) == {"object": "response.input_tokens", "input_tokens": 3}
