"""Patterns over untrusted text. Regular expressions are RE2's: time grows with the text alone, whatever the pattern, and what cannot
have that (backreferences, lookaround) is refused. Globs go through `fnmatch`, whose translation does not backtrack into a `*`."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Any

TEXT_CHARS = 65_536
"""Of a text no more is looked at."""
PATTERN_BYTES = 1 << 20
"""Memory that one regular expression may take."""


def compile_pattern(pattern: str) -> Any:
    """Raises `ValueError` for one that RE2 does not take. Imported here: few configurations need the library."""
    import re2

    options = re2.Options()
    options.max_mem, options.log_errors, options.never_capture = PATTERN_BYTES, False, True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        [reason] = error.args
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise ValueError(f"'last_message' is no regular expression that RE2 takes: {reason}") from None


class Globs:
    """Whether a text is like one of several patterns, in any case of letters. Those with `!` take texts out again."""

    __slots__ = ("_likes", "_unlike")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._likes = _compiled([pattern for pattern in patterns if pattern[:1] != "!"])
        self._unlike = _compiled([pattern[1:] for pattern in patterns if pattern[:1] == "!"])

    def __call__(self, text: str) -> bool:
        text = text[:512].lower()
        return bool(self._likes and self._likes(text)) and not (self._unlike and self._unlike(text))


def _compiled(patterns: list[str]) -> Any:
    return re.compile("|".join([translate(pattern.lower()) for pattern in patterns])).match if patterns else None
