"""What a failure says about another try, in every format: how long to wait, and whether the prompt was too long."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from .stream import Error

MAX_WAIT_S = 86_400
JSON = (b"content-type", b"application/json")
_TOO_LONG = re.compile(
    r"context (?:length|window|size)|prompt is too long|input length and `max_tokens` exceed|input is too long|too many (?:input )?tokens"
    r"|token count.{0,80}exceeds",
    re.IGNORECASE | re.DOTALL,
)


def is_too_long(message: str) -> bool:
    """Whether a refused request would fit a model with a larger context. Not every provider has a code for it."""
    return _TOO_LONG.search(message[:2000]) is not None


def wait(seconds: float) -> float | None:
    """A day at most; None for what is no time to wait."""
    return min(seconds, MAX_WAIT_S) if math.isfinite(seconds) and seconds >= 0 else None


def retry_after(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after`: seconds, or a date, which counts from the `date` header, else from
    `now_s`."""
    try:
        if "retry-after-ms" in headers:
            return wait(float(headers["retry-after-ms"]) / 1000)
        return wait(float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        then, now = headers.get("retry-after", ""), headers.get("date", "")
    try:
        start_s = parsedate_to_datetime(now).timestamp() if now or now_s is None else now_s
        return wait(max(parsedate_to_datetime(then).timestamp() - start_s, 0.0))
    except (ValueError, TypeError, OverflowError):
        return None


def error_headers(error: Error) -> list[tuple[bytes, bytes]]:
    """Of an error's JSON body."""
    seconds = None if error.retry_after_s is None else wait(error.retry_after_s)
    return [JSON] if seconds is None else [JSON, (b"retry-after", b"%d" % math.ceil(seconds))]
