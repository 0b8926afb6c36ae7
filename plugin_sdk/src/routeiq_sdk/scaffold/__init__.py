"""The plugin that `kernel plugins new NAME` writes: a working gate with config, README and tests, to be edited."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from ..hooks import API_VERSION

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/${module}/__init__.py": "manifest.py",
    "src/${module}/config.py": "config.py",
    "src/${module}/plugin.py": "plugin.py",
    "tests/test_plugin.py": "test_plugin.py",
}
"""Path in the new project → template, which is a file of its own with the ending .tmpl."""

RESERVED = ("all", "kernel", "none", "plugin_sdk", "sdk", "standard")
"""Words of the selection and names of our own distributions."""


def name_problem(name: str) -> str | None:
    """Why `name` cannot name a plugin: it becomes a module, a distribution, a config section and a metric prefix."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        return f"{name!r} is no plugin name: use lower-case letters, digits and single underscores, and begin with a letter"
    if keyword.iskeyword(name) or name in RESERVED:
        return f"{name!r} is reserved: choose another name"
    return None


def render(name: str, target: Path) -> list[Path]:
    """Write the project into the new folder `target` and return its files. Raises `ValueError` for a bad name and
    `FileExistsError` when `target` exists: nothing is overwritten."""
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    if target.exists():
        raise FileExistsError(f"{target} exists already: choose another name or folder")
    values = _values(name)
    templates = files(__package__) / "template"
    written = []
    for path, template in FILES.items():
        file = target / Template(path).substitute(values)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template((templates / f"{template}.tmpl").read_text("utf-8")).substitute(values), "utf-8")
        written.append(file)
    return written


def _values(name: str) -> dict[str, str]:
    from .. import __version__

    major, minor = __version__.split(".")[:2]
    return {
        "name": name,
        "NAME": name.upper(),
        "module": f"routeiq_{name}",
        "dist": f"routeiq-{name.replace('_', '-')}",
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "api": API_VERSION,
        "sdk": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }
