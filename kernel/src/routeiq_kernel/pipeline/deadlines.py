"""The times that one attempt must keep, in seconds of the monotonic clock."""

from __future__ import annotations

from time import monotonic

from routeiq_sdk import Deployment
from routeiq_sdk.services import StreamTerms
from routeiq_sdk.stream import Error

from ..config.kernel import Settings

MESSAGES = {
    "connect": "The provider did not accept the connection in time.",
    "first_token": "The provider sent no content in time.",
    "idle": "The provider's stream stalled.",
    "total": "The provider's answer took too long.",
    "called": "The answer to the gateway's own call took too long.",
    "draining": "The gateway is restarting and had to end this request.",
    "reloaded": "The gateway's configuration changed and this request ran past its time.",
}


FIRST_CONTENT_S = 120.0
USUAL = StreamTerms()


class Deadlines:
    """`total` is the end of this attempt, `first` that of the wait for its first content. `begun`: when the first attempt started."""

    __slots__ = ("_idle_s", "buffer", "first", "total")

    def __init__(self, settings: Settings, deployment: Deployment, begun: float, terms: StreamTerms | None) -> None:
        """`terms` are those of a streamed answer, None for a whole one."""
        times = settings.timeouts
        now = monotonic()
        total = begun + times.all_s
        self._idle_s, self.buffer = times.idle_s, terms is not None and terms.buffer
        if terms is None:
            self.first = self.total = min(total, now + (deployment.timeout_s or times.attempt_s))
            return
        self.total = total
        usual_s = times.first_token_s or terms.first_content_s or min(FIRST_CONTENT_S, times.attempt_s)
        self.first = min(total, now + (deployment.stream_timeout_s or deployment.timeout_s or usual_s))

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
