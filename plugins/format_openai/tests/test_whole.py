"""Whole answers, usage, errors and the list of models."""

from __future__ import annotations

import json

import pytest
from routeiq_sdk.openai_family import write_usage
from routeiq_sdk.stream import ERROR_STATUS, BlockDelta, Error, MessageEnd, UsageParts, replace
from routeiq_sdk.testing import check_events
from routeiq_sdk.wire import Asked, ModelEntry

from .wire import CODEC, USAGE, joined, request

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 7,
    "model": "gpt",
    "system_fingerprint": "fp",
    "odd": 1.50,
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "logprobs": None,
            "message": {
                "role": "assistant",
                "content": "Hé",
                "refusal": None,
                "reasoning_content": "hm",
                "tool_calls": [{"id": "x1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
        }
    ],
    "usage": USAGE,
}
BODY = json.dumps(ANSWER, indent=1).encode()


def test_an_unchanged_answer_keeps_its_bytes() -> None:
    events = CODEC.explode(BODY)
    assert check_events(events) == []
    assert joined(events) == {0: "hm", 1: "Hé"}
    assert CODEC.collect(events, request(stream=False), []) == BODY


def test_an_edited_answer_keeps_what_no_event_stands_for() -> None:
    events = [
        replace(event, value="X") if isinstance(event, BlockDelta) and event.value == "Hé" else event for event in CODEC.explode(BODY)
    ]
    answer = json.loads(CODEC.collect(events, request(stream=False), []))
    assert answer["choices"][0]["message"].pop("content") == "X"
    expected = json.loads(BODY)
    expected["choices"][0]["message"].pop("content")
    assert answer == expected


def test_every_choice_is_read() -> None:
    choices = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in enumerate("ab")]
    events = CODEC.explode(json.dumps(ANSWER | {"choices": choices}).encode())
    assert (joined(events), joined(events, choice=1)) == ({0: "a"}, {0: "b"})
    assert check_events(events) == []


def test_an_answer_without_a_finish_reason_or_with_surrogates_is_read() -> None:
    body = b'{"id":"c","choices":[{"message":{"content":"a\\ud83d"}}]}'
    events = CODEC.explode(body)
    assert isinstance(events[-1], MessageEnd) and check_events(events) == []
    assert CODEC.collect(events, request(), []) == body


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"5", b"{}", b'{"choices":5}', b'{"error":{"message":"no"}}', b'[{"error":{"message":"no"}}]', b"\xff"]
)
def test_what_is_no_answer_is_a_bad_gateway(body: bytes) -> None:
    wrong = CODEC.check(body)
    assert wrong is not None and wrong.kind == "bad_gateway"
    assert isinstance(CODEC.explode(body)[-1], Error)
    assert CODEC.usage(body) is None


def test_an_answer_passes_the_check() -> None:
    assert CODEC.check(BODY) is None
    assert CODEC.check(b'{"choices":[],"error":null}') is None


@pytest.mark.parametrize(
    ("native", "parts"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, None, None, 5, None)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (5, 4, 1, 2, 3),
        ),
        (
            {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 354, "completion_tokens_details": {"reasoning_tokens": 340}},
            (12, None, None, 2, 340),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "prompt_tokens_details": {"cached_tokens": 9}},
            (0, 9, None, 1, None),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
            (5, 4, None, 1, None),
        ),
        ({"prompt_tokens": "x", "completion_tokens": None, "prompt_tokens_details": None}, (None, None, None, None, None)),
    ],
)
def test_usage_is_read_in_disjoint_parts(native: dict[str, object], parts: tuple[int | None, ...]) -> None:
    found = CODEC.usage(json.dumps({"usage": native}).encode())
    assert found is not None
    assert (found.input, found.cache_read, found.cache_write, found.output, found.reasoning) == parts


def test_usage_of_another_format_is_written_in_this_one() -> None:
    written = write_usage(UsageParts(input=1, cache_read=2, cache_write=3, output=4, reasoning=5, native=b'{"input_tokens":1}'))
    assert written == {
        "prompt_tokens": 6,
        "completion_tokens": 9,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "m", "code": "context_length_exceeded"}, "context_length"),
        (400, {"message": "m", "code": "content_filter"}, "content_policy"),
        (400, {"message": "m", "type": "invalid_request_error"}, "invalid_request"),
        (401, {"message": "m", "code": "invalid_api_key"}, "authentication"),
        (429, {"message": "m", "code": "insufficient_quota"}, "billing"),
        (429, {"message": "m", "type": "tokens"}, "rate_limit"),
        (404, {"message": "m"}, "not_found"),
        (418, {"message": "m"}, "invalid_request"),
        (500, {"message": "m"}, "server"),
        (503, {"message": "m"}, "overloaded"),
        (529, {"message": "m"}, "overloaded"),
        (599, {"message": "m"}, "server"),
    ],
)
def test_provider_errors_are_sorted_by_code_then_status(status: int, error: dict[str, str], kind: str) -> None:
    body = json.dumps({"error": error}).encode()
    found = CODEC.parse_error(status, [(b"retry-after-ms", b"1500"), (b"x-request-id", b"r1")], body)
    assert (found.kind, found.status, found.message, found.retry_after_s, found.request_id) == (kind, status, "m", 1.5, "r1")
    assert CODEC.build_error(found, "r")[2] == body
    assert CODEC.stream_error(found, "r") == b"data: " + body + b"\n\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error":5}', b"\xff", b'"x"'])
def test_error_bodies_of_no_shape_name_status_and_type(body: bytes) -> None:
    error = CODEC.parse_error(502, [(b"content-type", b"text/html")], body)
    assert (error.kind, error.status) == ("bad_gateway", 502)
    assert json.loads(CODEC.build_error(error, "r")[2])["error"]["message"]


def test_other_shapes_of_errors_are_read() -> None:
    assert CODEC.parse_error(400, [], b'{"error":"plain"}').message == "plain"
    assert CODEC.parse_error(400, [], b'{"object":"error","message":"vllm"}').message == "vllm"
    assert CODEC.parse_error(400, [], b'[{"error":{"message":"list"}}]').message == "list"


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"7", 7.0), (b"1.5", 1.5), (b"Tue, 14 Nov 2023 22:13:30 GMT", 10.0), (b"soon", None), (b"-3", None)]
)
def test_retry_after_is_seconds_or_a_date(value: bytes, seconds: float | None) -> None:
    assert CODEC.parse_error(429, [(b"retry-after", value)], b"").retry_after_s == seconds


@pytest.mark.parametrize("kind", ERROR_STATUS)
def test_every_kind_has_a_status_type_and_message(kind: str) -> None:
    status, headers, body = CODEC.build_error(Error(kind=kind, message="m", retry_after_s=1.2), "r")
    error = json.loads(body)["error"]
    assert status == (429 if kind == "billing" else ERROR_STATUS[kind])
    assert error["message"] == "m" and error["type"] and "param" in error and "code" in error
    assert (b"retry-after", b"2") in headers and (b"content-type", b"application/json") in headers


def test_the_gateways_own_codes_are_kept_and_other_formats_words_are_not() -> None:
    own = json.loads(CODEC.build_error(Error(kind="denied", status=451, code="badwords", message="m"), "r")[2])["error"]
    assert own["code"] == "badwords"
    status, _, body = CODEC.build_error(Error(kind="overloaded", status=529, type="overloaded_error", message="busy"), "r")
    assert (status, json.loads(body)["error"]["type"]) == (503, "service_unavailable_error")
    assert [
        json.loads(CODEC.build_error(Error(kind=kind, message="m"), "r")[2])["error"]["code"] for kind in ("over_capacity", "draining")
    ] == [
        "over_capacity",
        "draining",
    ]


def test_a_pretty_printed_error_stays_one_line_in_a_stream() -> None:
    error = CODEC.parse_error(500, [], b'{\n "error": {"message": "m"}\n}')
    assert CODEC.stream_error(error, "r").count(b"\n") == 2


def test_models_are_listed_as_openai_does() -> None:
    listed = json.loads(CODEC.models([ModelEntry(id="a"), ModelEntry(id="b")], Asked()))
    assert (listed["object"], [model["id"] for model in listed["data"]]) == ("list", ["a", "b"])
    assert set(listed["data"][0]) == {"id", "object", "created", "owned_by"}


def test_tokens_are_estimated_and_counted() -> None:
    assert CODEC.estimate_tokens(request(messages=[{"role": "user", "content": "x" * 400}])) == 100
    assert json.loads(CODEC.count_reply(3)) == {"input_tokens": 3}


@pytest.mark.parametrize("name", [b"retry-after", b"retry-after-ms"])
@pytest.mark.parametrize("value", [b"inf", b"nan", b"-1", b"9" * 400])
def test_an_absurd_wait_is_no_wait(name: bytes, value: bytes) -> None:
    assert CODEC.parse_error(429, [(name, value)], b"").retry_after_s is None


def test_nobody_waits_longer_than_a_day() -> None:
    assert CODEC.parse_error(429, [(b"retry-after", b"99999999")], b"").retry_after_s == 86_400


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
def test_an_error_with_an_odd_wait_is_written_without_it(seconds: float) -> None:
    headers = CODEC.build_error(Error(kind="rate_limit", message="m", retry_after_s=seconds), "r")[1]
    assert b"retry-after" not in dict(headers)


def test_usage_that_cannot_be_read_again_is_written_anew() -> None:
    parts = UsageParts(input=1, output=2, native=b'{"big":' + b"9" * 6000 + b"}")
    assert write_usage(parts)["total_tokens"] == 3
