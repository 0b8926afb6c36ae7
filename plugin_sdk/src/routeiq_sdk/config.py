"""Config classes of plugins: attrs classes whose fields say where else their value may come from.

    @frozen
    class Config:
        limit: int = setting(10, env="QUOTA_LIMIT", help="requests a minute")
        master_key: Secret | None = setting(None, env="LITELLM_MASTER_KEY", key="general_settings.master_key")

Values come from the environment variable `env`, then `plugins.<name>.<field>`, then the LiteLLM key `key`, then the default.
Types are strict: `"no"` is no bool and `2.9` no int. Unknown fields are errors.
"""

from __future__ import annotations

from typing import Any

import attrs


class Secret:
    """A value that neither `str`, `repr`, a format string, JSON nor a traceback shows. `reveal()` gives it; compare with
    `hmac.compare_digest`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)


def setting(default: Any = attrs.NOTHING, *, env: str | None = None, key: str | None = None, help: str = "", validator: Any = None) -> Any:
    """A config field. `env` names its environment variable, `key` the LiteLLM key that also sets it."""
    return attrs.field(default=default, validator=validator, metadata={"env": env, "key": key, "help": help})
