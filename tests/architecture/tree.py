"""The project's Python files, parsed, for tests that look at the code as it stands."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SKIPPED = {"__pycache__", "_build", "build", "dist", "node_modules"}


class Source:
    """One Python file. `name` is its path from the project's root."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def find(self, *kinds: type[ast.AST]) -> Iterator[Any]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 0)}"

    def imports(self, *, with_types: bool = False) -> Iterator[tuple[ast.AST, str]]:
        """Absolute imports of run time, wherever they stand, as (node, module)."""
        typed = {id(inner) for block in self.find(ast.If) if "TYPE_CHECKING" in ast.dump(block.test) for inner in ast.walk(block)}
        for node in self.find(ast.Import, ast.ImportFrom):
            if id(node) in typed and not with_types:
                continue
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif node.level == 0 and node.module:
                yield node, node.module


class Member:
    """A distribution of the workspace: its folder, its import package and its metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        self.name: str = self.project["project"]["name"]
        self.package: str = self.project["tool"]["flit"]["module"]["name"]

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def sources(self) -> list[Source]:
        return [Source(path) for path in _files(self.folder / "src", ".py")]


def _files(folder: Path, *suffixes: str) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.name.startswith(".") and path.name not in SKIPPED and not path.name.endswith(".egg-info"):
            yield from _files(path, *suffixes)
        elif path.is_file() and (not suffixes or path.suffix in suffixes):
            yield path


def files(*suffixes: str) -> list[Path]:
    """All files of the project, those that tools write excepted."""
    hidden = [path for path in (ROOT / ".ci").iterdir() if path.is_file()]
    return [*_files(ROOT, *suffixes), *(path for path in hidden if not suffixes or path.suffix in suffixes)]


@cache
def members() -> list[Member]:
    folders = [ROOT / "plugin_sdk", ROOT / "kernel", *(path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml")))]
    return [Member(folder) for folder in folders]


@cache
def shipped() -> list[Source]:
    """The code that is installed."""
    return [source for member in members() for source in member.sources]


@cache
def everything() -> list[Source]:
    return [Source(path) for path in files(".py")]


@cache
def modules_of_tests() -> list[Source]:
    return [source for source in everything() if source.path.name.startswith("test_")]
