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
    models = ready["models"]
    more = f" and {len(models) - 5} more" if len(models) > 5 else ""
    workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    lines = [
        f"RouteIQ {__version__} serves {url} ({settings.mode} mode, {workers}, parent {os.getpid()})",
        f"plugins  {', '.join(plugin['name'] for plugin in ready['plugins']) or 'none: only health is served'}",
        f"models   {', '.join(models[:5]) + more or 'none'}",
        f"config   {document.path or 'no file: defaults'} ({document.hash})",
        *(line for said in ready["announcements"] for line in said.replace("{url}", url).splitlines()),
        *(f"warning  {line}" for line in ready["warnings"]),
    ]
    return "\n  ".join(lines)
