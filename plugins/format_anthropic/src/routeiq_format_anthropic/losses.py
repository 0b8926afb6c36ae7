"""Names of what an answer lost. They come from providers, so they are cleaned, and each is said once."""

from __future__ import annotations

import re

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")
_NAME_LIMIT = 64
MOST = 100


def report(losses: list[str], name: str, flag: str = "drop") -> None:
    """Adds `out.<name>;<flag>`."""
    text = f"out.{_UNFIT.sub('_', name)[:_NAME_LIMIT] or 'event'};{flag}"
    if len(losses) < MOST and text not in losses:
        losses.append(text)
