"""JSON in which members have other types than they should: providers send such, and what else they said still counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MAX_ODD = 32


def loosely(value: Any, convert: Callable[[Any], T]) -> T | None:
    """What msgspec's `convert` makes of plain JSON without the members that have a wrong type; None where too little is right.
    Changes `value`."""
    for _ in range(_MAX_ODD):
        try:
            return convert(value)
        except msgspec.ValidationError as error:
            *steps, last = [name or int(at) for name, at in _STEP.findall(str(error).rpartition(" - at `$")[2])] or [""]
        if last == "":
            break
        holder = value
        for step in steps:
            holder = holder[step]
        del holder[last]
    return None
