"""What must not be shown: decided by the setting's type, or by its name where values have no type."""

from __future__ import annotations

import re
from typing import Any

MASK = "***"
WHOLLY = frozenset(("extra_headers", "environment_variables"))
"""Settings below which every value is hidden: their names are anybody's."""
NAME = re.compile(r"(^|[_-])(access)?keys?$|api[_-]?key|secret|passw|token(?!s)|credential|authorization", re.IGNORECASE)
NUMBER = re.compile(r"(?<!per_)(key|secret|password|token)$", re.IGNORECASE)
USERINFO = re.compile(r"(://)[^/@\s]+@")


def is_secret(name: str, value: Any) -> bool:
    """Whether the value of a setting called `name` should be hidden. Switches and counts (`max_tokens: 10`) are none."""
    if value is None or isinstance(value, bool) or not NAME.search(name):
        return False
    return not isinstance(value, int | float) or bool(NUMBER.search(name))


def masked(value: Any, name: str = "", hide: bool = False) -> Any:
    """A copy with everything secret below replaced. References to the environment stay: they tell nothing."""
    hide = hide or name in WHOLLY or is_secret(name, value)
    if isinstance(value, dict):
        return {key: masked(item, str(key), hide) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, "", hide) for item in value]
    if isinstance(value, str) and value.startswith("os.environ/"):
        return value
    if hide and value is not None:
        return MASK
    return USERINFO.sub(rf"\1{MASK}@", value) if isinstance(value, str) else value
