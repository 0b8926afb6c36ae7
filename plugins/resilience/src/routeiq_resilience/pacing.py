"""How long to wait before a retry, and how many retries there may be at all."""

from __future__ import annotations

from random import Random

BASE_S, CAP_S = 0.25, 8.0
BUDGET_WINDOW_S = 10.0


class Backoff:
    """Decorrelated jitter: `min(cap, uniform(base, 3 · previous wait))`, the first time with the base as the previous wait
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015)."""

    def __init__(self, random: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._random, self._base_s, self._cap_s = random, base_s, max(base_s, cap_s)

    def after(self, previous_s: float) -> float:
        """The wait after one of `previous_s`, 0 for the first."""
        return min(self._cap_s, self._random.uniform(self._base_s, 3 * max(self._base_s, previous_s)))

    def asked(self, seconds: float) -> float:
        """A wait that a provider asked for: never less, and up to a tenth more, so that not all come at once."""
        return seconds * (1 + self._random.random() / 10)


class RetryBudget:
    """Retries as a share of all requests beside a floor, counted over the last ten to twenty seconds, so that an outage is not
    multiplied (the numbers are those of Finagle's RetryBudget: 20 % and 10 a second). `requests` is counted by the caller."""

    def __init__(self, share: float, per_s: float) -> None:
        self._share, self._floor = share, per_s * BUDGET_WINDOW_S
        self.requests = self._retries = 0
        self._before = (0, 0)
        self._since_s = 0.0

    def spend(self, now_s: float) -> bool:
        """Take a retry, if there is one."""
        passed = now_s - self._since_s
        if passed >= BUDGET_WINDOW_S:
            self._before = (self.requests, self._retries) if passed < 2 * BUDGET_WINDOW_S else (0, 0)
            self.requests = self._retries = 0
            self._since_s = now_s
        requests, retries = self.requests + self._before[0], self._retries + self._before[1]
        if retries + 1 > self._floor + self._share * requests:
            return False
        self._retries += 1
        return True
