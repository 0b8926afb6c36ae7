"""Keeps callers from waiting for a server that fails."""

from __future__ import annotations

from attrs import define, field
from routeiq_sdk.services import Clock


@define
class Breaker:
    """Lets calls pass until `failures` in a row have failed; then none for `rest_s` seconds; then one, whose end decides. What `enter`
    lets pass ends in `succeeded`, `failed` or, when its end tells nothing, `left`."""

    clock: Clock
    failures: int
    rest_s: float
    _failed: int = field(default=0, init=False)
    _until_s: float = field(default=0.0, init=False)
    _probing: bool = field(default=False, init=False)

    @property
    def open(self) -> bool:
        return self._failed >= self.failures

    def enter(self) -> bool:
        if not self.open:
            return True
        if self._probing or self.clock.monotonic() < self._until_s:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        self._failed, self._probing = 0, False

    def failed(self) -> None:
        self._failed, self._probing = self._failed + 1, False
        self._until_s = self.clock.monotonic() + self.rest_s

    def left(self) -> None:
        self._probing = False
