"""Manifest, secrets, requests, usage and the table of hooks."""

from __future__ import annotations

import json
import traceback

import msgspec
import pytest
from routeiq_sdk import ABSENT, API_VERSION, Capability, ClientError, Manifest, Request, Secret, ServiceKey
from routeiq_sdk.request import Content
from routeiq_sdk.specs import HOOKS
from routeiq_sdk.stream import ERROR_STATUS, BlockDelta, Error, Frame, Text, UsageParts, replace
from routeiq_sdk.testing import request


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("sk-hidden")
    shown = [repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % secret]
    try:
        raise ValueError(secret)
    except ValueError:
        shown.append(traceback.format_exc())
    assert not any("sk-hidden" in text for text in shown)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret.reveal() == "sk-hidden" and secret == Secret("sk-hidden") != Secret("x")
    assert not Secret("") and len({secret, Secret("sk-hidden")}) == 1


def test_a_manifest_refuses_a_string_where_several_names_belong() -> None:
    with pytest.raises(TypeError, match="quota"):
        Manifest(name="x", api=API_VERSION, factory="x:X", after="quota")  # type: ignore[arg-type]
    made = Manifest(name="x", api=API_VERSION, factory="x:X", after=["a"], capabilities=[Capability.ROUTES])  # type: ignore[arg-type]
    assert made.after == ("a",) and made.capabilities == {Capability.ROUTES}


def test_service_keys_differ_by_major_version() -> None:
    assert ServiceKey("a") == ServiceKey("a") != ServiceKey("a", 2)
    assert repr(ServiceKey("a", 2)) == "a/2"


def test_a_request_is_parsed_once_and_only_when_somebody_looks() -> None:
    parsed: list[Request] = []

    def parse(made: Request) -> Content:
        parsed.append(made)
        return Content()

    made = Request(format="openai", model="m", stream=False, body=b"{}", parse=parse)
    assert parsed == []
    assert made.messages == () and made.tools == () and len(parsed) == 1


def test_replace_gives_a_copy_and_only_content_marks_it_edited() -> None:
    made = request("m", "Hello")
    other = made.replace(model="n", stream=True)
    assert (other.model, other.model_in, other.stream, other.edited) == ("n", "m", True, False)
    edited = made.replace(max_output_tokens=5)
    assert edited.edited and edited.content.max_output_tokens == 5 and made.content.max_output_tokens is None
    assert (made.model, made.stream, made.edited) == ("m", False, False)


def test_a_parse_error_is_the_callers() -> None:
    def parse(_: Request) -> Content:
        raise ClientError("messages: expected a list", param="messages")

    with pytest.raises(ClientError, match="messages"):
        Request(format="openai", model="m", stream=False, body=b"{}", parse=parse).text()


def test_absent_is_false_and_not_none() -> None:
    assert not ABSENT and ABSENT is not None


def test_usage_replaces_and_keeps_what_is_unknown() -> None:
    old, new = UsageParts(input=43, cache_read=5), UsageParts(input=61, output=2)
    assert new.over(old) == UsageParts(input=61, cache_read=5, output=2)
    assert new.over(old).total() == 68
    assert UsageParts().total() == 0


def test_a_replaced_event_has_no_frame() -> None:
    event = BlockDelta(index=0, field="text", value="a", frame=Frame("openai", b"data: x\n\n"))
    changed = replace(event, value="b")
    assert (changed.value, changed.frame) == ("b", None) and event.frame is not None
    with pytest.raises(AttributeError):
        event.value = "c"  # type: ignore[misc]


def test_errors_take_their_status_from_their_kind_unless_they_have_one() -> None:
    assert Error(kind="over_capacity", message="").http_status == 503
    assert Error(kind="rate_limit", message="", status=418).http_status == 418
    assert all(400 <= status < 600 for status in ERROR_STATUS.values())


@pytest.mark.parametrize(
    ("name", "kind", "is_async"),
    [
        ("provide_services", "collect", False), ("register_routes", "collect", False),
        ("authenticate", "first", True), ("on_request", "transform", True),
        ("authorize", "gate", True), ("candidates", "transform", True), ("route", "first", True), ("before_upstream", "transform", True),
        ("on_upstream_error", "first", True), ("on_attempt", "notify", False), ("response_headers", "transform", False),
        ("on_stream_event", "transform", False), ("on_block", "transform", True),
        ("on_response", "transform", True), ("on_complete", "notify", True),
        ("on_records", "notify", True), ("lifespan", "special", False), ("on_config_changed", "special", True),
    ],
)  # fmt: skip
def test_hooks_have_their_kind_and_colour(name: str, kind: str, is_async: bool) -> None:
    assert (HOOKS[name].kind, HOOKS[name].is_async) == (kind, is_async)


def test_blocks_are_values() -> None:
    assert Text(text="a") == Text(text="a")
    assert msgspec.structs.replace(Text(text="a"), text="b").text == "b"
