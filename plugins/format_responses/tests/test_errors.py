"""Errors, both ways."""

from __future__ import annotations

import json

import pytest
from routeiq_sdk.stream import ERROR_STATUS, Error

from .wire import CODEC


@pytest.mark.parametrize("kind", sorted(ERROR_STATUS))
def test_every_kind_survives_the_way_out_and_in(kind: str) -> None:
    status, headers, body = CODEC.build_error(Error(kind=kind, message="why", retry_after_s=1.2), "req-1")
    assert {"message", "type", "param", "code"} == json.loads(body)["error"].keys()
    assert (b"retry-after", b"2") in headers
    back = CODEC.parse_error(status, headers, body)
    assert back.message == "why" and back.retry_after_s == 2
    assert back.kind == kind or ERROR_STATUS[back.kind] == status or back.status == status


def test_a_providers_own_error_keeps_its_bytes() -> None:
    body = b'{ "error":{"message":"m","type":"odd","param":"input[0]","code":"weird", "more":1} }'
    error = CODEC.parse_error(422, [(b"x-request-id", b"r1")], body)
    assert (error.type, error.code, error.param, error.request_id) == ("odd", "weird", "input[0]", "r1")
    assert CODEC.build_error(error, "req-1")[2] == body


def test_html_is_named() -> None:
    error = CODEC.parse_error(502, [(b"content-type", b"text/html")], b"<html>")
    assert (error.kind, error.message) == ("bad_gateway", "upstream answered 502 text/html")
