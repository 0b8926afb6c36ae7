"""The SDK's exceptions.

RouteIQError
├── ConfigError      the operator's: a value in the configuration; says path, value and file:line
├── GraphError       the operator's: the set of plugins does not fit together
├── ClientError      the caller's: becomes a 4xx in the caller's wire format; its text reaches the client
├── UpstreamError    the provider's or the network's: carries the `Failure` that plugins decide on
└── PluginFailure    the plugin author's: a hook raised, hung or returned the wrong type; its text stays in the log

A plugin may raise `ClientError` from any hook; every other exception of a hook becomes a `PluginFailure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stream import Error


class RouteIQError(Exception):
    pass


class ConfigError(RouteIQError):
    """`problems` holds one line per mistake: *what, where, what now*."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class GraphError(RouteIQError):
    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ClientError(RouteIQError):
    """`kind` is a row of `stream.ERROR_STATUS` (it gives the HTTP status); `param` names the offending field."""

    def __init__(self, message: str, *, kind: str = "invalid_request", param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.kind, self.param, self.code = message, kind, param, code


class UpstreamError(RouteIQError):
    """An attempt failed. `error` is what the client would be told; `phase` is connect, send, headers, body or timeout; `detail`,
    such as the address, is for the log."""

    def __init__(self, error: Error, phase: str = "headers", detail: str = "") -> None:
        super().__init__(detail or error.message)
        self.error, self.phase, self.detail = error, phase, detail


class PluginFailure(RouteIQError):
    def __init__(self, plugin: str, hook: str, cause: BaseException | str) -> None:
        text = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        super().__init__(f"plugin {plugin}, hook {hook}: {text}")
        self.plugin, self.hook, self.cause = plugin, hook, cause
