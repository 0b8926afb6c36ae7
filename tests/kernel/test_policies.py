"""What plugins may do to an answer: events, blocks and whole answers, streamed and whole, in both formats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest
from msgspec import structs
from routeiq_sdk import Capability, ClientError, Deny, Hold, Manifest, RequestContext, Response, hookimpl
from routeiq_sdk.stream import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    Frame,
    MessageEnd,
    MessageStart,
    Stop,
    Text,
    ToolCall,
    replace,
)
from routeiq_sdk.testing.builders import answer
from routeiq_sdk.testing.fakes import FakeProvider, Recorder
from routeiq_sdk.testing.gateway import open_gateway

CONFIG: dict[str, Any] = {"kernel": {"allow_anonymous": True}, "model_list": [{"model_name": "m", "litellm_params": {"model": "fake/x"}}]}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def plugin(name: str, implementation: object, hold: Hold = Hold.BLOCK) -> tuple[Manifest, object]:
    return Manifest(name=name, api="1.0", factory="x:Y", hold=hold, capabilities={Capability.STREAM}), implementation


Asked = tuple[httpx.Response, Recorder]


async def ask(plugins: Iterable[tuple[Manifest, object]], events: list[Event], format: str = "openai", stream: bool = True) -> Asked:
    return await ask_and(plugins, events, lambda: None, format, stream)


async def ask_and(
    plugins: Iterable[tuple[Manifest, object]], events: list[Event], then: Callable[[], None], format: str = "openai", stream: bool = True
) -> Asked:
    """`then` is called when the client has its answer, before the gateway closes."""
    provider, recorder = FakeProvider(events), Recorder()
    body = {"model": "m", "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    everything = [(provider.manifest, provider), *plugins, (recorder.manifest, recorder)]
    async with open_gateway(CONFIG, plugins=everything, selection="format_openai,format_anthropic") as gateway:
        reply = await gateway.client.post(PATHS[format], json=body)
        then()
    return reply, recorder


def text_of(reply: httpx.Response, format: str, stream: bool) -> str:
    """The answer's text, whatever its form."""
    if not stream:
        body = reply.json()
        return str(body["choices"][0]["message"]["content"] if format == "openai" else "".join(part["text"] for part in body["content"]))
    lines = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    if format == "openai":
        return "".join(choice["delta"].get("content") or "" for line in lines for choice in line.get("choices", ()))
    return "".join(line["delta"].get("text", "") for line in lines if line["type"] == "content_block_delta")


class Redact:
    """Replaces a word that may be split over deltas: only `on_block` can see it."""

    @hookimpl
    async def on_block(self, block: Block) -> Block | None:
        return Text(text=block.text.replace("secret", "[gone]")) if isinstance(block, Text) and "secret" in block.text else None


@pytest.mark.parametrize("format", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_word_split_over_deltas_is_redacted_before_any_of_it_leaves(format: str, stream: bool) -> None:
    reply, recorder = await ask([plugin("redact", Redact())], answer("The sec", "ret is ", "out."), format, stream)
    assert text_of(reply, format, stream) == "The [gone] is out."
    assert b"sec" not in reply.content
    assert recorder.outcomes[0][1].status == "complete"


@pytest.mark.parametrize("format", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_denied_block_is_an_error_and_never_a_finished_answer(format: str, stream: bool) -> None:
    class Refuse:
        @hookimpl
        async def on_block(self, block: Block) -> Deny:
            return Deny("no_secrets", "This answer was withheld.")

    reply, recorder = await ask([plugin("refuse", Refuse())], answer("The secret."), format, stream)
    assert reply.status_code == 403
    assert "This answer was withheld." in reply.text
    assert "secret." not in reply.text
    assert recorder.outcomes[0][1].status == "denied"


@pytest.mark.parametrize(("format", "end"), [("openai", "[DONE]"), ("anthropic", "message_stop")])
async def test_a_denial_in_mid_stream_is_an_error_event_without_the_end_marker(format: str, end: str) -> None:
    class Stopper:
        @hookimpl
        def on_stream_event(self, event: Event) -> Deny | None:
            return Deny("enough", "Enough.") if isinstance(event, BlockDelta) and "three" in event.value else None

    reply, recorder = await ask([plugin("stopper", Stopper())], answer("one ", "two ", "three ", "four"), format)
    assert reply.status_code == 200
    assert text_of(reply, format, True) == "one two "
    assert "Enough." in reply.text
    assert end not in reply.text
    assert recorder.outcomes[0][1].status == "denied"


async def test_events_can_be_dropped_and_multiplied_and_later_plugins_see_the_result() -> None:
    seen: list[str] = []

    class Twice:
        @hookimpl
        def on_stream_event(self, event: Event) -> list[Event] | tuple[()] | None:
            if not isinstance(event, BlockDelta):
                return None
            return () if event.value == "drop" else [event, replace(event, value=event.value.upper())]

    class Look:
        @hookimpl
        def on_stream_event(self, event: Event) -> None:
            if isinstance(event, BlockDelta):
                seen.append(event.value)

    reply, _ = await ask([plugin("a_twice", Twice()), plugin("b_look", Look())], answer("a", "drop", "b"))
    assert text_of(reply, "openai", True) == "aAbB"
    assert seen == ["a", "A", "b", "B"]


def call_events() -> list[Event]:
    call = ToolCall(call_id="call_1", name="run")
    return [
        MessageStart(id="x", model="m"),
        BlockStart(index=0, block=Text()), BlockDelta(index=0, field="text", value="Look: "), BlockStop(index=0),
        BlockStart(index=1, block=call), BlockDelta(index=1, field="args", value='{"a":'),
        BlockDelta(index=1, field="args", value="1}"), BlockStop(index=1),
        Stop(reason="tool_use"), MessageEnd(),
    ]  # fmt: skip


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_call_that_becomes_text_repairs_the_stop_reason(stream: bool) -> None:
    class NoTools:
        @hookimpl
        async def on_block(self, block: Block) -> Block | None:
            return Text(text="(blocked)") if isinstance(block, ToolCall) else None

    reply, _ = await ask([plugin("no_tools", NoTools())], call_events(), "openai", stream)
    assert text_of(reply, "openai", stream) == "Look: (blocked)"
    assert '"finish_reason":"stop"' in reply.text
    assert "tool_calls" not in reply.text
    other, _ = await ask([plugin("no_tools", NoTools())], call_events(), "anthropic", stream)
    assert '"stop_reason":"end_turn"' in other.text
    assert "tool_use" not in other.text


async def test_interleaved_blocks_keep_their_order_while_they_are_judged() -> None:
    events: list[Event] = [
        MessageStart(id="x", model="m"),
        BlockStart(index=0, block=ToolCall(call_id="c0", name="f")), BlockStart(index=1, block=ToolCall(call_id="c1", name="g")),
        BlockDelta(index=1, field="args", value='{"b":2}'), BlockDelta(index=0, field="args", value='{"a":1}'),
        BlockStop(index=1), BlockStop(index=0), Stop(reason="tool_use"), MessageEnd(),
    ]  # fmt: skip
    reply, _ = await ask([plugin("redact", Redact())], events, "anthropic", False)
    assert [(part["name"], part["input"]) for part in reply.json()["content"]] == [("f", {"a": 1}), ("g", {"b": 2})]


async def test_an_observer_sees_whole_blocks_and_holds_nothing_back() -> None:
    seen: list[Block] = []

    class Watcher:
        @hookimpl
        async def on_block(self, block: Block) -> None:
            seen.append(block)

    reply, _ = await ask([plugin("watcher", Watcher(), Hold.NOTHING)], answer("a", "b"))
    assert text_of(reply, "openai", True) == "ab"
    assert [block.text for block in seen if isinstance(block, Text)] == ["ab"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_plugin_that_holds_the_answer_replaces_it_whole(stream: bool) -> None:
    class Editor:
        @hookimpl
        async def on_response(self, response: Response) -> Response:
            assert response.stop == "stop"
            return Response(
                blocks=(Text(text="Edited: " + "".join(each.text for each in response.blocks if isinstance(each, Text))),), stop="length"
            )

    reply, _ = await ask([plugin("editor", Editor(), Hold.ANSWER)], answer("a", "b"), "openai", stream)
    assert text_of(reply, "openai", stream) == "Edited: ab"
    assert '"finish_reason":"length"' in reply.text


async def test_a_stream_hook_that_raises_closed_ends_the_stream_with_an_error_that_hides_why() -> None:
    class Broken:
        @hookimpl
        def on_stream_event(self, event: Event, rc: RequestContext) -> None:
            if isinstance(event, BlockDelta) and event.value == "two":
                raise RuntimeError("the password is hunter2")

    reply, recorder = await ask([plugin("broken", Broken())], answer("one ", "two"))
    assert "hunter2" not in reply.text
    assert "plugin_failure" in reply.text
    assert "[DONE]" not in reply.text
    assert recorder.outcomes[0][1].status == "error"


async def test_a_codec_that_fails_ends_the_stream_instead_of_hanging_it() -> None:
    class Impossible:
        @hookimpl
        def on_stream_event(self, event: Event) -> Event | None:
            return replace(event, value=5) if isinstance(event, BlockDelta) and event.value == "two" else None

    reply, recorder = await ask([plugin("impossible", Impossible())], answer("one ", "two"))
    assert "[DONE]" not in reply.text
    assert "internal_error" in reply.text
    assert recorder.outcomes[0][1].status == "error"


async def test_a_client_error_raised_inside_a_stream_reaches_the_client() -> None:
    class Picky:
        @hookimpl
        async def on_block(self, block: Block) -> None:
            raise ClientError("This question has no answer.", param="messages")

    reply, _ = await ask([plugin("picky", Picky())], answer("one ", "two"))
    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "This question has no answer."


def native(text: str) -> BlockDelta:
    """A delta as it comes from a provider of OpenAI's format, with its own bytes."""
    data = json.dumps({"id": "msg-test", "choices": [{"index": 0, "delta": {"content": text}}]})
    return BlockDelta(index=0, field="text", value=text, frame=Frame("openai", f"data: {data}\n\n".encode()))


async def test_a_copy_of_an_event_that_keeps_the_providers_bytes_is_an_edit_all_the_same() -> None:
    class Careless:
        @hookimpl
        def on_stream_event(self, event: Event) -> Event | None:
            return structs.replace(event, value="[gone]") if isinstance(event, BlockDelta) else None

    events = [native("secret") if isinstance(each, BlockDelta) else each for each in answer("x")]
    reply, _ = await ask([plugin("careless", Careless())], events)
    assert text_of(reply, "openai", True) == "[gone]"
    assert "secret" not in reply.text


async def test_only_the_provider_ends_an_answer() -> None:
    class Liar:
        @hookimpl
        def on_stream_event(self, event: Event) -> list[Event] | None:
            return [event, BlockStop(index=0), Stop(reason="stop"), MessageEnd()] if isinstance(event, BlockDelta) else None

    reply, recorder = await ask([plugin("liar", Liar())], answer("one ", "two"))
    assert "[DONE]" not in reply.text
    assert recorder.outcomes[0][1].status == "error"


@pytest.mark.parametrize("format", ["openai", "anthropic"])
async def test_held_text_that_nobody_judged_does_not_leave_behind_an_error(format: str) -> None:
    cut = [*answer("fine.")[:-3], BlockStart(index=1, block=Text()), BlockDelta(index=1, field="text", value="the secret")]
    events: list[Event] = [*cut, Error(kind="overloaded", message="busy")]
    reply, recorder = await ask([plugin("redact", Redact())], events, format)
    assert text_of(reply, format, True) == "fine."
    assert "busy" in reply.text
    assert "secret" not in reply.text
    assert recorder.outcomes[0][1].status == "error"


async def test_a_header_that_no_wire_can_carry_is_the_plugins_failure_and_the_client_has_an_answer() -> None:
    class Fancy:
        @hookimpl
        def response_headers(self, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
            return (*headers, ("x-reason", "a → b"))

    reply, recorder = await ask([plugin("fancy", Fancy())], answer("one"))
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "plugin_failure"
    assert recorder.outcomes[0][1].http_status == 500


async def test_an_observer_does_not_delay_the_stream_it_looks_at() -> None:
    looked, go = asyncio.Event(), asyncio.Event()

    class Slow:
        @hookimpl
        async def on_block(self, block: Block) -> None:
            await go.wait()
            looked.set()

    reply, _ = await ask_and([plugin("slow", Slow(), Hold.NOTHING)], answer("a"), go.set)
    assert text_of(reply, "openai", True) == "a"
    assert looked.is_set()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("format", ["openai", "anthropic"])
async def test_a_whole_answer_has_the_outcome_complete_with_its_usage(format: str, stream: bool) -> None:
    _, recorder = await ask([], answer("a", "b"), format, stream)
    [(_, outcome)] = recorder.outcomes
    assert (outcome.status, outcome.http_status, outcome.finish, outcome.path) == ("complete", 200, "stop", "events")
    assert outcome.usage is not None and outcome.usage.total() == 8
    assert outcome.first_token_s is not None
    assert [attempt.outcome for attempt in outcome.attempts] == ["complete"]
