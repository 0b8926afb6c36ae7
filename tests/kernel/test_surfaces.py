"""Which endpoint a request reaches."""

from __future__ import annotations

from typing import Any

import pytest
from routeiq_kernel.runtime.surfaces import Surfaces
from routeiq_sdk import GraphError, Surface
from routeiq_sdk.wire import Headers


def surface(path: str, method: str = "GET", **fields: Any) -> Surface:
    return Surface(**{"method": method, "path": path, "kind": "forward", "operation": path, "format": "openai", **fields})


def surfaces(*given: Surface, base: str = "") -> Surfaces:
    return Surfaces(given, base, {"openai": object()}, {id(each): f"plugin{number}" for number, each in enumerate(given)})


def found(table: Surfaces, path: str, method: str = "GET", *headers: str) -> tuple[str, dict[str, str]] | None:
    answer = table.find(method, path, Headers([(name.encode(), b"1") for name in headers]), "")
    return None if answer is None else (answer[0].operation, dict(answer[1]))


def test_an_exact_path_goes_before_patterns_and_a_longer_pattern_before_a_shorter_one() -> None:
    table = surfaces(
        surface("/{provider}/{rest:path}"),
        surface("/v1/files/{id}"),
        surface("/v1/files/{id}/content"),
        surface("/v1/files/all"),
        surface("/v1/{rest:path}"),
    )
    assert found(table, "/v1/files/all") == ("/v1/files/all", {})
    assert found(table, "/v1/files/f") == ("/v1/files/{id}", {"id": "f"})
    assert found(table, "/v1/files/f/content") == ("/v1/files/{id}/content", {"id": "f"})
    assert found(table, "/v1/files/f/g") == ("/v1/{rest:path}", {"rest": "files/f/g"})
    assert found(table, "/x/y/z") == ("/{provider}/{rest:path}", {"provider": "x", "rest": "y/z"})
    assert found(table, "/x/") is None and found(table, "/x") is None


def test_a_part_may_be_less_than_a_segment() -> None:
    table = surfaces(surface("/models/{model:path}:embed"), surface("/models/{model:path}"))
    assert found(table, "/models/a/b:embed") == ("/models/{model:path}:embed", {"model": "a/b"})
    assert found(table, "/models/a:embed:embed") == ("/models/{model:path}:embed", {"model": "a:embed"})
    assert found(table, "/models/a:other") == ("/models/{model:path}", {"model": "a:other"})


def test_a_name_stands_for_no_slash_and_for_something() -> None:
    table = surfaces(surface("/files/{id}"))
    assert found(table, "/files/a/b") is None and found(table, "/files/") is None
    assert found(table, "/files/a\nb") == ("/files/{id}", {"id": "a\nb"})


def test_what_a_path_holds_is_no_pattern() -> None:
    table = surfaces(surface("/a.b/{id}"))
    assert found(table, "/axb/1") is None and found(table, "/a.b/1") is not None


def test_a_wrong_method_is_no_unknown_path() -> None:
    table = surfaces(surface("/files", "POST"), surface("/files/{id}"), surface("/files/{id}", "DELETE"))
    assert found(table, "/files") is None and table.methods("/files") == ["POST"]
    assert found(table, "/files/a", "PUT") is None and table.methods("/files/a") == ["DELETE", "GET"]
    assert table.methods("/nothing") == []


def test_any_method_is_every_one_but_a_socket() -> None:
    table = surfaces(surface("/x", "*"), surface("/p/{rest:path}", "*"), surface("/p/live", "WEBSOCKET", kind="socket", operation="live"))
    assert all(found(table, path, method) for path in ("/x", "/p/q") for method in ("GET", "PATCH", "BREW"))
    assert found(table, "/x", "WEBSOCKET") is None and found(table, "/p/q", "WEBSOCKET") is None
    assert found(table, "/p/live", "WEBSOCKET") == ("live", {})
    assert found(table, "/p/live") == ("/p/{rest:path}", {"rest": "live"})


def test_a_header_tells_equal_paths_apart() -> None:
    table = surfaces(
        surface("/files/{id}", operation="default"),
        surface("/files/{id}", operation="special", match=lambda headers, _: "x-special" in headers),
    )
    assert found(table, "/files/a") == ("default", {"id": "a"})
    assert found(table, "/files/a", "GET", "x-special") == ("special", {"id": "a"})


def test_two_defaults_of_one_path_are_an_error_that_names_both() -> None:
    with pytest.raises(GraphError, match="plugin0 and plugin1"):
        surfaces(surface("/files/{id}"), surface("/files/{id}"))


def test_what_passes_bytes_on_is_left_out_without_its_format() -> None:
    assert found(surfaces(surface("/x", format="missing")), "/x") is None
    with pytest.raises(GraphError, match="missing"):
        surfaces(surface("/x", kind="generate", format="missing"))


def test_the_base_path_comes_before_every_path() -> None:
    table = surfaces(surface("/files/{id}"), surface("/files"), base="/llm/")
    assert found(table, "/llm/files/a") == ("/files/{id}", {"id": "a"}) and found(table, "/llm/files") is not None
    assert found(table, "/files/a") is None
