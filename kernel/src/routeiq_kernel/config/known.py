"""Names that others defined: LiteLLM's settings by section, its connection settings, and variables with the feature they belong to."""

from __future__ import annotations

from pathlib import Path

import msgspec
from attrs import frozen


@frozen
class Known:
    litellm: dict[str, list[str]]
    """Section → settings; "sections" holds the sections that only LiteLLM has."""
    connection: list[str]
    variables: dict[str, list[str]]


def known() -> Known:
    return msgspec.json.decode(Path(__file__).with_name("known.json").read_bytes(), type=Known)
