"""What the RAW path learns from frames alone, and the one repair that it makes."""

from __future__ import annotations

import pytest
from routeiq_sdk.stream import Stop
from routeiq_sdk.wire import SseFramer

from .test_decode import ERRORS, STREAMS, rotated
from .wire import CODEC, Script, asked, decoded, told


def passed(frames: list[bytes]) -> tuple[bytes, list, object]:
    tap, out, signals = CODEC.tap(asked()), [], []
    for each in frames:
        signal = tap.feed(each)
        signals.append(signal)
        if not signal.drop and signal.error is None:
            out.append(each if signal.forward is None else signal.forward)
    return b"".join(out), signals, tap


@pytest.mark.parametrize("name", STREAMS)
def test_it_says_what_the_decoder_says_and_changes_nothing(name: str) -> None:
    made = STREAMS[name].made
    body, signals, tap = passed(made)
    assert body == b"".join(made)
    assert tap.complete and signals[-1].terminal and tap.missing_end() == b""
    assert tap.usage is not None and tap.usage.total() == 15
    assert tap.finish == next(event for event in decoded(made) if isinstance(event, Stop)).reason


def test_only_content_commits() -> None:
    _, signals, _ = passed(Script().start().text(0, "Hi").end().made)
    assert [signal.content for signal in signals[:5]] == [False, False, True, False, True]


def test_a_cut_stream_is_not_complete() -> None:
    for length in range(len(STREAMS["text"].made)):
        assert not passed(STREAMS["text"].made[:length])[2].complete


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_seen(name: str) -> None:
    _, signals, tap = passed([*Script().start().made, ERRORS[name]])
    assert signals[-1].error.kind == "rate_limit" and not tap.complete


def test_ids_that_change_are_repaired() -> None:
    body, _, _ = passed(rotated())
    assert CODEC.oracle(body) == []
    assert told(body)[-1]["response"]["x_odd"] == 1.5


def test_what_the_clients_fail_on_does_not_pass() -> None:
    made = Script().start().text(0, "Hi").end().made
    odd = [b"id: 5\n" + made[0], b"event: ping\n\n", *made[1:-1], b"data: {\n\n", b": hi\n\n", made[-1]]
    body, _, tap = passed(odd)
    assert body == b"".join([*made[:-1], b": hi\n\n", made[-1]])
    assert tap.dropped == 1
    assert len(SseFramer().feed(body)) == len(made) + 1
