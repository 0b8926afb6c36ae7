"""The demo model's tokens: every word counts one for each four bytes begun."""

from __future__ import annotations

import re

PIECE = re.compile(r"\s*\S{1,24}(?:\s+$)?|\s+")
WORD = re.compile(r"\s*\S+")


def tokens(text: str) -> int:
    return sum(-(-len(word) // 4) for word in text.encode("utf-8", "replace").split())


def pieces(text: str) -> list[str]:
    """Words with the space before them, long ones in parts; together they are the text."""
    return PIECE.findall(text)


def shortened(text: str, limit: int) -> str:
    """The longest beginning of the text that is at most `limit` tokens."""
    end, left = 0, limit
    for word in WORD.finditer(text):
        count = tokens(word.group())
        if count > left:
            space = len(word.group()) - len(word.group().lstrip())
            part = word.group().lstrip().encode()[: 4 * left].decode("utf-8", "ignore")
            return text[:end] + (word.group()[:space] + part if part else "")
        left, end = left - count, word.end()
    return text
