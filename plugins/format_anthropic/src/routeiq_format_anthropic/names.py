"""The tool names and call ids that this format takes."""

from __future__ import annotations

import re

from routeiq_sdk.crossing import Names, short_id

NAMES = Names(re.compile(r"[A-Za-z0-9_-]{1,128}"), re.compile(r"[^A-Za-z0-9_-]"), 128)
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_ID_LIMIT = 4096
"""The API names none."""


def alias(name: str, namespace: str = "") -> str:
    return NAMES.alias(name, namespace)


def call_id(given: str) -> str:
    """A call id that this format takes; the same for a call and its result."""
    return short_id(given, "call_", _ID_LIMIT, _CALL_ID)
