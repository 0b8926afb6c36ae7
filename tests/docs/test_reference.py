"""The reference says what the code says."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from routeiq_sdk.specs import HOOKS, Specs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_pages", DOCS / "pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("hook", HOOKS)
def test_the_exact_signature_of_every_hook_is_documented(hook: str) -> None:
    page = (DOCS / "reference" / "hooks.md").read_text("utf-8")
    written = str(inspect.signature(vars(Specs)[hook])).replace("'", "").replace("(self, ", "(").replace("(self)", "()")
    assert f"\n{'async ' if HOOKS[hook].is_async else ''}def {hook}{written}: ...\n" in page


@pytest.mark.parametrize("name", ["hooks.md", "configuration.md"])
def test_written_pages_are_up_to_date(pages: ModuleType, name: str) -> None:
    assert (DOCS / "reference" / name).read_text("utf-8") == pages.PAGES[name](), "run: python docs/pages.py"


def test_every_limit_of_the_benchmark_is_documented() -> None:
    page = (DOCS / "reference" / "limits.md").read_text("utf-8")
    source = (ROOT / "tests" / "bench" / "limits.py").read_text("utf-8")
    limits = re.findall(r"_at_(?:most|least)\(\s*\"[^\"]+\",\s*([\d.]+)", source)
    assert len(limits) == 20
    assert [limit for limit in limits if limit != "0" and limit not in page] == []


def test_every_command_is_documented() -> None:
    page = (DOCS / "reference" / "commands.md").read_text("utf-8")
    from routeiq_kernel.cli.main import _parser

    _, commands = _parser()
    assert [name for name in commands.choices if f"`kernel {name}" not in page] == []


def test_links_between_files_lead_somewhere() -> None:
    broken = []
    for path in [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *ROOT.glob("p*/**/README.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "kernel" / "README.md",
    ]:
        if "_build" in path.parts or ".venv" in path.parts:
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []


def test_no_figure_of_speed_is_claimed_without_its_command() -> None:
    """Pages that speak of × or µs name the command that measures them."""
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        text = path.read_text("utf-8")
        assert not re.search(r"\d\s*(×|µs|times faster)", text) or "nox -s bench" in text, path
