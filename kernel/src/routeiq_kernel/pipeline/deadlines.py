"""The times that one attempt must keep, in seconds of the monotonic clock."""

from __future__ import annotations

from time import monotonic

from routeiq_sdk import Deployment
from routeiq_sdk.stream import Error

from ..config.kernel import Settings

MESSAGES = {
    "connect": "The provider did not accept the connection in time.",
    "first_token": "The provider sent no content in time.",
    "idle": "The provider's stream stalled.",
    "total": "The provider's answer took too long.",
    "draining": "The gateway is restarting and had to end this request.",
    "reloaded": "The gateway's configuration changed and this request ran past its time.",
}


class Deadlines:
    __slots__ = ("_idle_s", "first", "total")

    def __init__(self, settings: Settings, deployment: Deployment, begun: float, stream: bool) -> None:
        """`begun`: when the first attempt started; `total_s` covers all of them."""
        times = settings.timeouts
        now = monotonic()
        total = begun + times.total_s
        if deployment.timeout_s is not None:
            total = min(total, now + deployment.timeout_s) if not stream else total
        self.total = total
        self.first = min(total, now + (deployment.stream_timeout_s or deployment.timeout_s or times.first_token_s)) if stream else total
        self._idle_s = times.idle_s

    def idle(self) -> float:
        """A committed stream may go on as long as it flows, so `total` binds whole answers and the time before the commit only."""
        return monotonic() + self._idle_s


def timed_out(what: object) -> Error:
    kind = "draining" if what in ("draining", "reloaded") else "gateway_timeout"
    return Error(
        kind=kind,
        code=f"{what}_timeout" if kind == "gateway_timeout" else str(what),
        message=MESSAGES.get(str(what), "The request took too long."),
    )
