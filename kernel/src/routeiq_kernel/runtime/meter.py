"""One `Cell` per plugin × hook: the bound implementation with its limits, its counters and its quarantine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from routeiq_sdk import FailureMode, Hold, Manifest, PluginFailure

QUARANTINE_AFTER = 5
"""Failures in a row that quarantine a fail-open transform or a notify hook."""
QUARANTINE_S = 30.0

log = logging.getLogger("routeiq.plugins")


class Cell:
    """Counters are plain attributes, written by the guard in line: a method call each would double the cost of a hook."""

    __slots__ = (
        "alarm", "call", "calls", "closed", "failures", "hook", "manifest", "may_refuse", "misses", "plugin", "quarantinable", "seconds",
        "skip_until", "skipped", "timeout_s",
    )  # fmt: skip

    def __init__(self, manifest: Manifest, hook: str, kind: str, call: Callable[..., Any]) -> None:
        self.manifest, self.plugin, self.hook, self.call = manifest, manifest.name, hook, call
        observes = kind in ("notify", "peers") or (hook == "on_block" and manifest.hold is Hold.NOTHING)
        self.closed = manifest.on_failure is FailureMode.CLOSED and not observes and hook != "on_config_changed"
        self.may_refuse = kind != "notify" and hook != "response_headers"
        """Whether its `ClientError` is the client's; else there is nobody left to refuse, and it is a failure."""
        self.quarantinable = not self.closed and kind in ("transform", "notify")
        self.timeout_s = manifest.hook_timeout_s
        self.alarm: Callable[[Cell], None] | None = None
        """Told of a quarantine, so that all workers keep it."""
        self.calls = self.failures = self.skipped = self.misses = 0
        self.seconds = self.skip_until = 0.0

    def failed(self, cause: BaseException | str) -> None:
        """Count a failure of the plugin's own. Raises `PluginFailure` when it fails closed."""
        failure = PluginFailure(self.plugin, self.hook, cause)
        self.failures += 1
        self.misses += 1
        if self.quarantinable and self.misses >= QUARANTINE_AFTER:
            self.skip_until = monotonic() + QUARANTINE_S
            if self.alarm:
                self.alarm(self)
            log.warning("%s: %d failures in a row, quarantined for %.0f s", failure, self.misses, QUARANTINE_S)
        error = cause if isinstance(cause, BaseException) else None
        log.error("%s", failure, exc_info=error)
        if self.closed:
            raise failure from error

    def quarantined(self, now: float) -> bool:
        """True while quarantined. Afterwards one call goes through as a probe: it either clears `misses` or renews the quarantine."""
        if self.skip_until <= now:
            return False
        self.skipped += 1
        return True

    def snapshot(self, now: float) -> dict[str, Any]:
        return {
            "plugin": self.plugin, "hook": self.hook, "calls": self.calls, "failures": self.failures, "skipped": self.skipped,
            "seconds": round(self.seconds, 6), "quarantined": self.skip_until > now, "on_failure": "closed" if self.closed else "open",
        }  # fmt: skip
