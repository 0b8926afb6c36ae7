"""Tests that prove nothing do not exist here."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .tree import ROOT, Source, everything, modules_of_tests

PROOFS = ("raises", "warns", "fail")


def test_every_test_asserts_something() -> None:
    """By itself, with `pytest.raises`, or through a function whose own text asserts."""
    found, asserting = [], _asserting_functions()
    for source in modules_of_tests():
        for node in _tests(source):
            if not _asserts(node) and not any(_called(call) in asserting for call in ast.walk(node) if isinstance(call, ast.Call)):
                found.append(f"{source.at(node)} {node.name}")
    assert found == []


def test_nothing_is_mocked() -> None:
    names = {"Mock", "MagicMock", "AsyncMock", "mocker", "patch"}
    found = []
    for source in everything():
        found += [source.at(node) for node in source.find(ast.Import, ast.ImportFrom) if "mock" in ast.unparse(node)]
        found += [source.at(node) for node in source.find(ast.arg) if node.arg in names]
    assert found == []


def test_nothing_is_skipped_or_expected_to_fail() -> None:
    found = []
    for source in modules_of_tests():
        for node in source.find(ast.Attribute):
            if ast.unparse(node) in {
                "pytest.skip",
                "pytest.xfail",
                "pytest.mark.skip",
                "pytest.mark.skipif",
                "pytest.mark.xfail",
                "pytest.importorskip",
            }:
                found.append(source.at(node))
    assert found == []


def test_no_test_sleeps() -> None:
    """Clocks are fake and conditions are awaited. Giving other tasks a turn, `sleep(0)`, is no sleep."""
    found = []
    for source in modules_of_tests():
        for node in source.find(ast.Call):
            name = ast.unparse(node.func)
            if name in {"time.sleep", "asyncio.sleep", "anyio.sleep", "sleep"} and ast.unparse(node.args[0]) != "0":
                found.append(source.at(node))
    assert found == []


def test_test_names_are_sentences() -> None:
    found = [f"{source.at(node)} {node.name}" for source in modules_of_tests() for node in _tests(source) if node.name.count("_") < 2]
    assert found == []


def _tests(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in source.find(ast.FunctionDef, ast.AsyncFunctionDef) if node.name.startswith("test_"))


def _asserts(node: ast.AST) -> bool:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Attribute) and inner.attr in PROOFS:
            return True
        if isinstance(inner, ast.Raise) and inner.exc is not None and "AssertionError" in ast.unparse(inner.exc):
            return True
    return False


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).split(".")[-1]


def _asserting_functions() -> set[str]:
    """Names of functions of the tests and of the test kit that assert, directly or through one that does."""
    bodies: dict[str, list[ast.AST]] = {}
    for source in everything():
        if "tests" in source.path.parts or "testing" in source.path.parts:
            for node in source.find(ast.FunctionDef, ast.AsyncFunctionDef):
                bodies.setdefault(node.name, []).append(node)
    good = {name for name, nodes in bodies.items() if any(_asserts(node) for node in nodes)}
    while True:
        more = {
            name
            for name, nodes in bodies.items()
            if name not in good and any(_called(call) in good for node in nodes for call in ast.walk(node) if isinstance(call, ast.Call))
        }
        if not more:
            return good
        good |= more


def test_tests_of_plugins_are_no_packages() -> None:
    """Each would be called `tests`, and only one package of that name can be imported."""
    assert [path.as_posix() for path in ROOT.glob("plugins/*/tests/__init__.py")] == []
