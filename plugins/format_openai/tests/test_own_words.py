"""What a provider of this format said comes back in its own words, whatever else of the answer or the request is edited."""

from __future__ import annotations

import json

from msgspec import structs
from routeiq_sdk.stream import Stop, Text, replace
from routeiq_sdk.testing import deployment

from .wire import CODEC, DONE, USER, call, chunk, decoded, decoded_bytes, encoded, joined, request

UNFINISHED = '{"x": "unfin'


def test_arguments_that_are_no_json_stay_as_they_are() -> None:
    made = call(0, UNFINISHED, id="call_1", name="f")
    events = [replace(event) for event in decoded(chunk({"content": "Hi", "tool_calls": [made]}), chunk(None, "tool_calls"), DONE)]
    again = decoded_bytes([encoded(events)])
    assert list(joined(again, "args").values()) == [UNFINISHED]
    assert [event.reason for event in again if isinstance(event, Stop)] == ["tool_use"]
    said = {"role": "assistant", "content": "Hi", "tool_calls": [{"type": "function", **made}]}
    asked = request(messages=[USER, said, {"role": "tool", "tool_call_id": "call_1", "content": "r"}])
    edited = structs.replace(asked.messages[1], parts=(Text(text="Ho"), *asked.messages[1].parts[1:]))
    sent = CODEC.build_request(asked.replace(messages=(asked.messages[0], edited, asked.messages[2])), deployment(provider="openai"))
    message = json.loads(sent.body)["messages"][1]
    assert (message["content"], message["tool_calls"][0]["function"]["arguments"]) == ("Ho", UNFINISHED)
