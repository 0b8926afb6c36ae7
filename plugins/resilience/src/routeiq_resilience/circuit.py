"""One circuit breaker: closed → cooling → half open, where one request at a time may probe → closed. Time comes in as seconds of a
monotonic clock; nothing here waits."""

from __future__ import annotations

from attrs import frozen
from routeiq_sdk.stream import Error

WINDOW_S = 60.0
PROBE_S = 15.0
"""A probe that is not over by then, such as a long stream, does not keep the next one away."""
FIRST_MAX_S = 15.0
"""However long a provider asks for at first: it may be mistaken, and a probe costs one request."""
FORGET_S = 60.0
MAX_DOUBLINGS = 10
IN_A_ROW = 3
MANY = 10


@frozen
class Policy:
    """When to open, and for how long. `allowed_fails` of a minute; None: three in a row, or half of ten or more."""

    allowed_fails: int | None
    cooldown_s: float
    max_cooldown_s: float

    def seconds(self, level: int, asked_s: float) -> float:
        """The cooldown after so many in a row; `asked_s` is the provider's own wish."""
        own_s = min(self.cooldown_s * 2.0 ** min(level, MAX_DOUBLINGS), self.max_cooldown_s)
        return max(own_s, min(asked_s, max(FIRST_MAX_S, self.max_cooldown_s) * 2.0 ** min(level, 2)))


class Window:
    """Successes and failures of the last minute: this minute's, and of the minute before the part that is not over yet."""

    __slots__ = ("_bad", "_began_s", "_ok", "_old_bad", "_old_ok")

    def __init__(self) -> None:
        self._began_s = 0.0
        self._ok = self._bad = self._old_ok = self._old_bad = 0

    def add(self, now_s: float, ok: bool) -> None:
        if now_s - self._began_s >= WINDOW_S:
            self._turn(now_s)
        if ok:
            self._ok += 1
        else:
            self._bad += 1

    def counts(self, now_s: float) -> tuple[float, float]:
        """Successes and failures."""
        if now_s - self._began_s >= WINDOW_S:
            self._turn(now_s)
        share = 1 - (now_s - self._began_s) / WINDOW_S
        return self._ok + share * self._old_ok, self._bad + share * self._old_bad

    def _turn(self, now_s: float) -> None:
        recent = now_s - self._began_s < 2 * WINDOW_S
        self._old_ok, self._old_bad = (self._ok, self._bad) if recent else (0, 0)
        self._ok = self._bad = 0
        self._began_s = self._began_s + WINDOW_S if recent else now_s


class Circuit:
    __slots__ = ("_closed_s", "_opened_s", "_probe_until_s", "failures", "is_open", "last_error", "last_error_time_s", "level", "name",
                 "until_s", "window")  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.window = Window()
        self.is_open = False
        self.failures = self.level = 0
        """Failures in a row, and cooldowns in a row before this one."""
        self.until_s = self._opened_s = self._probe_until_s = 0.0
        self._closed_s = -FORGET_S
        self.last_error: Error | None = None
        self.last_error_time_s: float | None = None

    def state(self, now_s: float) -> str:
        return "healthy" if not self.is_open else "cooling" if now_s < self.until_s else "probing"

    def may_probe(self, now_s: float) -> bool:
        return now_s >= self.until_s and now_s >= self._probe_until_s

    def probe(self, now_s: float) -> None:
        """This request is the probe, until its attempt has ended."""
        self._probe_until_s = now_s + PROBE_S

    def probed(self) -> None:
        self._probe_until_s = 0.0

    def succeeded(self, now_s: float, duration_s: float) -> bool:
        """True if that closes it. An attempt that began before it opened says nothing new."""
        self.window.add(now_s, ok=True)
        self.failures = 0
        if not self.is_open or now_s - duration_s < self._opened_s:
            return False
        self.close(now_s)
        return True

    def failed(self, now_s: float, weight: int, policy: Policy, asked_s: float | None) -> bool:
        """True if that opens it, or keeps it open for longer. `asked_s` opens it at once."""
        self.window.add(now_s, ok=False)
        self.failures += weight
        if self.is_open:
            trips = now_s >= self.until_s or asked_s is not None
        else:
            trips = asked_s is not None or self._too_many(now_s, policy)
        if trips:
            self.open(now_s, policy, asked_s or 0.0)
        return trips

    def open(self, now_s: float, policy: Policy, asked_s: float = 0.0) -> None:
        if not self.is_open:
            self.level = self.level + 1 if now_s - self._closed_s < FORGET_S else 0
        elif now_s >= self.until_s:
            self.level += 1
        self.open_until(now_s, now_s + policy.seconds(self.level, asked_s))

    def open_until(self, now_s: float, until_s: float) -> None:
        """Never shortens a cooldown."""
        if not self.is_open:
            self.is_open, self._opened_s = True, now_s
        self.until_s = max(self.until_s, until_s)

    def close(self, now_s: float) -> None:
        self.is_open, self.failures = False, 0
        self._closed_s, self._probe_until_s = now_s, 0.0
        self.window = Window()

    def _too_many(self, now_s: float, policy: Policy) -> bool:
        ok, bad = self.window.counts(now_s)
        if policy.allowed_fails is not None:
            return bad > policy.allowed_fails
        return self.failures > IN_A_ROW or (ok + bad >= MANY and bad >= ok)
