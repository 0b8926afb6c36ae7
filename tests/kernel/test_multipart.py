"""The field `model` of a form, found while the form streams by."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_kernel.pipeline.multipart import ModelField, boundary_of
from routeiq_sdk import ClientError

MODEL = b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper'
FILE = b'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: audio/wav\r\n\r\n' + b"RI\r\n--FF\n--\r" * 5
EMPTY = b'Content-Disposition: form-data; name="nothing"\r\n\r\n'


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n%b\r\n" % part for part in parts) + b"--b--\r\n"


def read(body: bytes, *cuts: int) -> ModelField:
    field = ModelField(b"b")
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in pairwise(edges):
        field.feed(body[start:end])
    return field


@given(st.lists(st.integers(0, 1000), max_size=12), st.permutations([MODEL, FILE, EMPTY]))
def test_any_split_of_the_bytes_finds_the_same_field(cuts: list[int], parts: list[bytes]) -> None:
    body = form(*parts)
    field = read(body, *cuts)
    assert field.span is not None and body[slice(*field.span)] == field.value == b"whisper"


@pytest.mark.parametrize(
    "head",
    [
        b"content-disposition:form-data;name=model",
        b"Content-Disposition: form-data; name = 'model'",
        b'Content-Disposition: form-data; filename="x"; name="model"',
        b"Content-Disposition: form-data; name*=utf-8''model",
        b'X-Other: 1\r\nContent-Disposition: form-data;\r\n name="model"',
        b'Content-Disposition: form-data; name="x"; name="model"',
    ],
)
@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_every_spelling_of_the_field_counts(head: bytes, ending: bytes) -> None:
    body = form(head + b"\r\n\r\nwhisper").replace(b"\r\n", ending)
    assert read(body).value == b"whisper"
    with pytest.raises(ClientError, match="twice"):
        read(form(MODEL, head + b"\r\n\r\nother").replace(b"\r\n", ending))


def test_what_only_looks_like_it_does_not_count() -> None:
    assert read(form(b'Content-Disposition: form-data; name="models"\r\n\r\nx')).span is None
    assert read(form(FILE + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nx')).span is None
    assert read(form(EMPTY, b'Content-Disposition: form-data; name="model"\r\n\r\n')).value == b""


def test_nothing_hides_behind_an_end() -> None:
    for end in (b"--b--\r\n", b"--b--x\r\n", b"--b \r\n\r\n\r\n", b"--bx\r\n"):
        with pytest.raises(ClientError):
            read(form(MODEL).removesuffix(b"--b--\r\n") + end + form(MODEL))


def test_what_is_kept_has_a_bound() -> None:
    field = ModelField(b"b")
    field.feed(b"--b\r\n" + FILE)
    for _ in range(50):
        field.feed(b"\n--" * 20_000)
        assert len(field._rest) < 10_000
    with pytest.raises(ClientError, match="too long"):
        read(form(b"X: " + b"y" * 20_000))
    with pytest.raises(ClientError, match="too long"):
        read(form(MODEL + b"x" * 2000))


def test_hostile_bytes_cost_linear_time() -> None:
    for piece in (b"\n--b\r\n;name*" * 1000, b"\n--b" * 4000, b"\n--b\r\n\r\n" * 2000, b"; name " * 2300):
        field = ModelField(b"b")
        began = time.process_time()
        try:
            for _ in range(60):
                field.feed(piece)
        except ClientError:
            pass
        assert time.process_time() - began < 1, piece[:20]


def test_a_boundary_is_one_and_short() -> None:
    assert boundary_of("application/json") is None
    assert boundary_of('multipart/form-data; boundary="a b"; charset=x') == b"a b"
    assert boundary_of("Multipart/Form-Data;BOUNDARY=----WebKitFormBoundary7") == b"----WebKitFormBoundary7"
    for wrong in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'-' * 10**6}",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary*0=a",
    ):
        with pytest.raises(ClientError):
            boundary_of(wrong)
