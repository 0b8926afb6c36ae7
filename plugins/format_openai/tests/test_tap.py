"""The RAW path: what the tap sees of each frame, and what it repairs."""

from __future__ import annotations

import time

import pytest
from routeiq_sdk.wire import Signal, Tap

from .wire import ASKING, CODEC, DONE, ROLE, TEXT, USAGE, call, calls, chunk, frame, request


def tapped(*frames: bytes, asked: bool = False) -> tuple[Tap, bytes, list[Signal]]:
    """The tap, what it lets through, and its signals."""
    tap = CODEC.tap(request(**(ASKING if asked else {})))
    out, signals = [], []
    for each in frames:
        signal = tap.feed(each)
        signals.append(signal)
        if not signal.drop and signal.error is None:
            out.append(each if signal.forward is None else signal.forward)
    return tap, b"".join(out), signals


def test_an_ordinary_stream_passes_as_it_is() -> None:
    tap, out, signals = tapped(*TEXT, asked=True)
    assert out == b"".join(TEXT)
    assert [signal.content for signal in signals] == [False, True, True, True, False, True]
    assert signals[-1].terminal and tap.complete and tap.finish == "stop" and tap.missing_end() == b""
    assert tap.usage is not None and tap.usage.total() == 15


def test_usage_that_only_the_gateway_asked_for_is_withheld() -> None:
    tap, out, _ = tapped(*TEXT)
    assert out == b"".join((*TEXT[:4], DONE))
    assert tap.usage is not None and (tap.usage.input, tap.usage.output) == (10, 5)


def test_null_usage_stays_and_usage_beside_choices_is_cut_out() -> None:
    plain = chunk({"content": "a"}, usage=None)
    _, out, _ = tapped(ROLE, plain, chunk({"content": "b"}, usage=USAGE), chunk(None, "stop", usage=USAGE))
    assert out == ROLE + plain + chunk({"content": "b"}) + chunk(None, "stop")


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"refusal": "x"},
        {"tool_calls": [call(0, "", id="a", name="f")]},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "x"}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_every_kind_of_content_commits(delta: object) -> None:
    assert tapped(ROLE, chunk(delta))[2][1].content


@pytest.mark.parametrize(
    "delta", [{}, {"role": "assistant"}, {"role": "assistant", "content": None, "refusal": None}, {"content": "", "tool_calls": []}]
)
def test_an_opening_commits_nothing(delta: object) -> None:
    assert not tapped(chunk(delta))[2][0].content


def test_a_finish_reason_commits_and_completes() -> None:
    tap, _, signals = tapped(ROLE, chunk(None, "stop"))
    assert signals[1].content and tap.complete and tap.missing_end() == DONE


def test_all_choices_must_finish() -> None:
    tap, _, _ = tapped(ROLE, chunk({"role": "assistant"}, index=1), chunk(None, "stop"))
    assert not tap.complete and tap.missing_end() == b""
    tap.feed(chunk(None, "stop", index=1))
    assert tap.complete


def test_stop_with_tool_calls_is_a_tool_use() -> None:
    assert tapped(ROLE, calls(call(0, "{}", id="a", name="f")), chunk(None, "stop"))[0].finish == "tool_use"


def test_an_error_object_is_an_error_and_what_follows_is_ignored() -> None:
    tap, out, signals = tapped(ROLE, frame({"error": {"message": "boom", "code": "rate_limit_exceeded"}}), DONE)
    assert out == ROLE
    assert signals[1].error is not None and signals[1].error.kind == "rate_limit"
    assert signals[2].drop and not tap.complete


def test_malformed_events_are_dropped_and_three_in_a_row_are_an_error() -> None:
    tap, out, signals = tapped(b"data: {\n\n", ROLE, b"data: <p>\n\n", b"data: nope\n\n", b"data: 5\n\n")
    assert (out, tap.dropped) == (ROLE, 4)
    assert signals[-1].error is not None and signals[-1].error.kind == "bad_gateway"


def test_invalid_utf8_in_text_is_malformed() -> None:
    tap, out, _ = tapped(ROLE, b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n')
    assert (out, tap.dropped) == (ROLE, 1)


def test_lone_surrogates_pass() -> None:
    cut = chunk({"content": "a\ud83d"})
    tap, out, signals = tapped(cut)
    assert (out, tap.dropped, signals[0].content) == (cut, 0, True)


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        (b"id: 7\ndata: {}\n\n", b"data: {}\n\n"),
        (b"event: ping\nretry: 5\n\n", b""),
        (b": note\nretry: 5\n\n", b": note\n\n"),
        (b": OPENROUTER PROCESSING\n\n", b": OPENROUTER PROCESSING\n\n"),
        (b"data:\n\n", b""),
        (b'event: chunk\ndata: {"choices":[]}\r\n\r\n', b'event: chunk\ndata: {"choices":[]}\r\n\r\n'),
        (b'data: {"choices":[]}', b'data: {"choices":[]}\n\n'),
        (b"<html>\n\n", b""),
    ],
)
def test_lines_that_openai_clients_fail_on_are_taken_out(sent: bytes, forwarded: bytes) -> None:
    assert tapped(sent)[1] == forwarded


def test_done_without_a_space_and_bytes_after_it() -> None:
    tap, out, signals = tapped(ROLE, chunk({"content": "x"}, "stop"), b"data:[DONE]\n\n", DONE, ROLE)
    assert out.endswith(b"data:[DONE]\n\n") and signals[2].terminal and signals[3].drop and signals[4].drop
    assert tap.complete and tap.missing_end() == b""


def test_a_choice_that_begins_late_must_finish_too() -> None:
    tap, _, _ = tapped(ROLE, chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk(None, "stop"))
    assert not tap.complete


def test_many_choices_cost_what_they_weigh() -> None:
    frames = [chunk({"content": "a"}, "stop", index=number) for number in range(8000)]
    began = time.process_time()
    assert tapped(*frames)[0].complete
    assert time.process_time() - began < 1
