"""What a plugin says of itself, readable without importing any of its code."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from attrs import field, frozen

from .services import ServiceKey


class FailureMode(Enum):
    """What a failure of the plugin's own does to the request."""

    CLOSED = "closed"
    """The request is refused: for security gates."""
    OPEN = "open"
    """The plugin is skipped; counted, and visible in readiness."""


class Hold(Enum):
    """What an implementation of `on_block` or `on_response` needs of a stream."""

    NOTHING = "nothing"
    """It only observes: the stream goes on while it looks."""
    BLOCK = "block"
    """Each block waits until the plugin has judged it."""
    ANSWER = "answer"
    """The whole answer waits: `on_response` sees streamed answers too."""


class Capability(Enum):
    """Declarations. The kernel enforces ROUTES, ADMIN, MIDDLEWARE and STREAM; the others are no sandbox."""

    NETWORK = "network"
    FILESYSTEM = "filesystem"
    SUBPROCESS = "subprocess"
    SECRETS = "secrets"
    ROUTES = "routes"
    ADMIN = "admin"
    MIDDLEWARE = "middleware"
    STREAM = "stream"


def _keys(values: Iterable[ServiceKey[Any]]) -> tuple[ServiceKey[Any], ...]:
    return tuple(values)


def _capabilities(values: Iterable[Capability]) -> frozenset[Capability]:
    return frozenset(values)


def _tuple(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"expected several names, got the string {values!r}")
    return tuple(values)


@frozen(kw_only=True)
class Manifest:
    """`factory` and `config` are `module:Class`; `api` is the SDK's `API_VERSION` it was written for.

    `provides`/`requires`/`optional` order plugins by services; `after`/`before` name plugins and bind only when those are
    enabled. `mutates` lists what it may change in answers: text, tool_calls, reasoning, headers. `operations`: those whose answers
    (and uploads) may pass without it, where it judges answers, fails closed and does more than observe. Answers that are passed on
    (embeddings, files, pass_through, …) reach no hook, so what it does not name is denied.
    """

    name: str
    api: str
    factory: str
    config: str | None = None
    summary: str = ""
    provides: tuple[ServiceKey[Any], ...] = field(default=(), converter=_keys)
    requires: tuple[ServiceKey[Any], ...] = field(default=(), converter=_keys)
    optional: tuple[ServiceKey[Any], ...] = field(default=(), converter=_keys)
    after: tuple[str, ...] = field(default=(), converter=_tuple)
    before: tuple[str, ...] = field(default=(), converter=_tuple)
    conflicts: tuple[str, ...] = field(default=(), converter=_tuple)
    capabilities: frozenset[Capability] = field(default=frozenset(), converter=_capabilities)
    mutates: tuple[str, ...] = field(default=(), converter=_tuple)
    operations: tuple[str, ...] = field(default=(), converter=_tuple)
    on_failure: FailureMode = FailureMode.CLOSED
    hold: Hold = Hold.BLOCK
    hook_timeout_s: float = 10.0
    default_enabled: bool = False
