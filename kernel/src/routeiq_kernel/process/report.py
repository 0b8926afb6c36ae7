"""What start-up says, on stderr: where the gateway is, with which key, plugins, models and configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import __version__

if TYPE_CHECKING:
    from ..config.kernel import Settings
    from ..config.load import Document


def start_report(url: str, document: Document, settings: Settings, ready: dict[str, Any]) -> str:
    """`ready` is what the first worker's gateway says of itself; `{url}` in an announcement stands for the gateway's URL."""
    names = [plugin["name"] for plugin in ready["plugins"]]
    models = ready["models"]
    workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    more = f" and {len(models) - 5} more" if len(models) > 5 else ""
    facts = {
        "plugins": ", ".join(names) or "none: only health is served",
        "models": ", ".join(models[:5]) + more or "none",
        "config": f"{document.path or 'no file: defaults'} ({document.hash})",
    }
    lines = [f"RouteIQ {__version__} serves {url} ({settings.mode} mode, {workers}, parent {os.getpid()})"]
    lines += [f"  {name:8} {value}" for name, value in facts.items()]
    lines += [f"  {line}" for said in ready["announcements"] for line in said.replace("{url}", url).splitlines()]
    lines += [f"  warning  {line}" for line in ready["warnings"]]
    return "\n".join(lines)
