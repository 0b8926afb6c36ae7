"""Makes tiny plugins installable: a module and a `.dist-info` folder beside it, on `PYTHONPATH`."""

from __future__ import annotations

from pathlib import Path


def plugin_folder(folder: Path, *, dist: str = "", **modules: str) -> dict[str, str]:
    """Installs each module as a plugin of the same name, and returns the environment that finds them. `dist` is the
    distribution's name when it should differ from the module's."""
    site = folder / "site"
    for name, source in modules.items():
        site.mkdir(exist_ok=True)
        (site / f"{name}.py").write_text(source, "utf-8")
        distribution(site, dist or f"acme-{name}", name, f"{name}:manifest")
    return {"PYTHONPATH": str(site)}


def distribution(site: Path, dist: str, plugin: str, target: str, version: str = "1.2.3") -> None:
    info = site / f"{dist.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[routeiq.plugins]\n{plugin} = {target}\n", "utf-8")
    (info / "RECORD").write_text("", "utf-8")


def plugin(name: str, methods: str, *, manifest: str = "", imports: str = "") -> str:
    """The source of a plugin in one module. `methods` is the indented body of its class."""
    return f"""
import asyncio
from routeiq_sdk import *
from routeiq_sdk import stream
{imports}
manifest = Manifest(name="{name}", api="1.0", factory="{name}:Plugin", {manifest})

class Plugin:
{methods}
"""
