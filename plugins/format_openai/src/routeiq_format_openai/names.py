"""Tool names and call ids that OpenAI takes: pure functions, so what goes out one way comes back the other and nothing is stored."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable

NAME_LIMIT = 64
CALL_ID_LIMIT = 40
"""Some models refuse call ids longer than this, others than 64."""
_VALID = re.compile(rf"[A-Za-z0-9_-]{{1,{NAME_LIMIT}}}")
_INVALID = re.compile(r"[^A-Za-z0-9_-]")
_ALIAS = re.compile(r".*_[0-9a-f]{6}", re.DOTALL)
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def alias(name: str) -> str:
    """The name as OpenAI takes it: itself where valid, else cleaned, cut, and told apart by a hash of itself."""
    if _VALID.fullmatch(name):
        return name
    return f"{_INVALID.sub('_', name)[: NAME_LIMIT - 7]}_{_digest(name)}"


def original(name: str, names: Iterable[str]) -> str:
    """The client's name of a tool that a provider called by the alias of any format."""
    known = list(names)
    if name in known or not _ALIAS.fullmatch(name):
        return name
    return next((each for each in known if _digest(each) == name[-6:]), name)


def call_id(given: str) -> str:
    if 0 < len(given) <= CALL_ID_LIMIT:
        return given
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "replace")).digest(), "big")
    digits = ""
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits += _DIGITS[digit]
    return f"call_{digits}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:6]
