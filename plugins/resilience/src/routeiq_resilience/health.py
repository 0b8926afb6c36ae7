"""The health of all deployments of this worker, and who may be asked. Other workers and replicas are told what changes here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from attrs import evolve
from msgspec import Struct
from routeiq_sdk import Attempt, Deployment
from routeiq_sdk.services import Clock, DeploymentState
from routeiq_sdk.stream import ERROR_STATUS, Error

from .circuit import Circuit, Policy
from .firsts import Firsts
from .taxonomy import ENDPOINT_FAULTS, FAULTS, NEUTRAL

ENDPOINT_IN_A_ROW = 8
"""Failures in a row at one address, of two deployments or more, after which nobody there is asked."""


class News(Struct, frozen=True):
    """A circuit opened for `left_s` more seconds; 0: it closed."""

    name: str
    left_s: float
    level: int = 0
    kind: str = "server"
    message: str = ""


class Record:
    """What is known of one deployment. `endpoint` is the circuit of its address where others are there too."""

    __slots__ = ("circuit", "cooldown_s", "endpoint", "firsts")

    def __init__(self, deployment: Deployment, endpoint: Circuit | None) -> None:
        self.circuit, self.endpoint, self.firsts = Circuit(deployment.id), endpoint, Firsts()
        own = deployment.params.get("cooldown_time")
        self.cooldown_s = float(own) if isinstance(own, int | float) else None


class Sifted(Struct):
    """Candidates by what may be asked of them; `resting` with the circuit that keeps them away."""

    healthy: list[Deployment] = []
    probes: list[Deployment] = []
    resting: list[tuple[Deployment, Circuit]] = []


class Health:
    """Implements `routeiq_sdk.services.DeploymentHealth`."""

    def __init__(self, policy: Policy, policies: dict[str, Policy], enabled: bool) -> None:
        """`policies` are those of single kinds of error."""
        self.clock: Clock = time
        self.deployments: Callable[[], Sequence[Deployment]] = tuple
        self.tell: Callable[[News], None] = lambda _: None
        self.open: dict[str, Circuit] = {}
        """Empty while all is well: that is all a healthy request looks at."""
        self._policy, self._policies, self._enabled = policy, policies, enabled
        self._records: dict[str, Record] = {}
        self._endpoints: dict[str, Circuit] = {}
        self._failing: dict[str, set[str]] = {}
        """Address → deployments that failed there since the last success."""

    def record(self, deployment: Deployment) -> Record:
        found = self._records.get(deployment.id)
        if found is None:
            self._prune()
            found = self._records[deployment.id] = Record(deployment, self._endpoint(deployment))
        return found

    def seen(
        self, attempt: Attempt, *, streamed: bool = False, silent: bool = False, counts: bool = True, asked_s: float | None = None
    ) -> None:
        """An attempt ended. `silent` weighs double; one that does not count is the client's own affair; `asked_s`: the provider
        wants to be left alone for so long."""
        record, now_s = self.record(attempt.deployment), self.clock.monotonic()
        circuits = (record.circuit,) if record.endpoint is None else (record.circuit, record.endpoint)
        error = attempt.error
        if streamed and attempt.first_token_s is not None:
            record.firsts.add(attempt.first_token_s)
        for circuit in circuits if self.open else ():
            circuit.probed()
        if error is not None and counts and error.kind in FAULTS:
            self._failed(record, attempt.deployment.id, error, now_s, 2 if silent else 1, asked_s)
        elif attempt.outcome == "complete" or (error is not None and error.kind not in NEUTRAL and error.kind not in FAULTS):
            for circuit in circuits:
                if circuit.succeeded(now_s, attempt.duration_s):
                    self._closed(circuit)
            if self._failing and record.endpoint is not None:
                self._failing.pop(record.endpoint.name, None)

    def _failed(self, record: Record, id: str, error: Error, now_s: float, weight: int, asked_s: float | None) -> None:
        self._note(record.circuit, error)
        policy = self._policies.get(error.kind, self._policy)
        if not self._enabled or record.cooldown_s == 0:
            record.circuit.window.add(now_s, ok=False)
            return
        if record.cooldown_s is not None:
            policy = evolve(policy, cooldown_s=record.cooldown_s, max_cooldown_s=max(record.cooldown_s, policy.max_cooldown_s))
        if record.circuit.failed(now_s, weight, policy, asked_s):
            self._opened(record.circuit, now_s)
        endpoint = record.endpoint
        if endpoint is None or error.kind not in ENDPOINT_FAULTS:
            return
        self._note(endpoint, error)
        endpoint.failures += weight
        failing = self._failing.setdefault(endpoint.name, set())
        failing.add(id)
        again = endpoint.is_open and now_s >= endpoint.until_s
        if again or (not endpoint.is_open and endpoint.failures >= ENDPOINT_IN_A_ROW and len(failing) > 1):
            endpoint.open(now_s, self._policy)
            self._opened(endpoint, now_s)

    def sift(self, candidates: Sequence[Deployment]) -> Sifted:
        now_s, out = self.clock.monotonic(), Sifted([], [], [])
        for deployment in candidates:
            circuits = self._away(deployment)
            if not circuits:
                out.healthy.append(deployment)
            elif all(each.may_probe(now_s) for each in circuits):
                out.probes.append(deployment)
            else:
                out.resting.append((deployment, max(circuits, key=lambda each: each.until_s)))
        return out

    def probe(self, deployment: Deployment) -> None:
        """The request that this is called for is the probe."""
        for circuit in self._away(deployment):
            circuit.probe(self.clock.monotonic())

    def is_healthy(self, deployment: Deployment) -> bool:
        return not self.open or bool(self.sift((deployment,)).healthy)

    def why(self, circuit: Circuit) -> str:
        """What keeps requests away, in words for people."""
        left_s, error = circuit.until_s - self.clock.monotonic(), circuit.last_error
        last = f"; last error {error.kind}: {error.message}" if error else ""
        return f"cooling down for {left_s:.1f} s more{last}" if left_s > 0 else f"another request is its probe{last}"

    def status(self) -> Sequence[DeploymentState]:
        return [self._state(deployment) for deployment in self.deployments()]

    def _state(self, deployment: Deployment) -> DeploymentState:
        record, now_s = self.record(deployment), self.clock.monotonic()
        worst = max(self._away(deployment), key=lambda each: each.until_s, default=record.circuit)
        ok, bad = record.circuit.window.counts(now_s)
        state = worst.state(now_s)
        return DeploymentState(
            deployment=deployment, state=state, left_s=worst.until_s - now_s if state == "cooling" else None,
            failures=record.circuit.failures, error_rate=bad / (ok + bad) if bad else 0.0,
            last_error=worst.last_error, last_error_time_s=worst.last_error_time_s,
        )  # fmt: skip

    def _away(self, deployment: Deployment) -> list[Circuit]:
        """The open circuits, its own and that of its address."""
        record = self._records.get(deployment.id)
        both = (record.circuit, record.endpoint) if record else (self._endpoints.get(address(deployment)),)
        return [each for each in both if each is not None and each.is_open]

    def heard(self, news: News) -> None:
        """From another worker or replica."""
        circuit, now_s = self._named(news.name), self.clock.monotonic()
        if circuit is None or not self._enabled:
            return
        if news.left_s > 0:
            self._note(circuit, Error(kind=news.kind if news.kind in ERROR_STATUS else "server", message=news.message))
            circuit.level = max(circuit.level, news.level)
            circuit.open_until(now_s, now_s + news.left_s)
            self.open[circuit.name] = circuit
        elif circuit.is_open:
            circuit.close(now_s)
            self.open.pop(circuit.name, None)

    def news(self) -> list[News]:
        """Of all circuits that are open, for a worker that starts."""
        now_s = self.clock.monotonic()
        return [_news(circuit, now_s) for circuit in self.open.values()]

    def _opened(self, circuit: Circuit, now_s: float) -> None:
        self.open[circuit.name] = circuit
        self.tell(_news(circuit, now_s))

    def _closed(self, circuit: Circuit) -> None:
        self.open.pop(circuit.name, None)
        self.tell(News(circuit.name, 0.0))

    def _note(self, circuit: Circuit, error: Error) -> None:
        circuit.last_error, circuit.last_error_time_s = error, self.clock.time()

    def _named(self, name: str) -> Circuit | None:
        if name in self._endpoints:
            return self._endpoints[name]
        found = next((each for each in self.deployments() if name in (each.id, address(each))), None)
        record = self.record(found) if found else None
        return None if record is None else record.circuit if found and found.id == name else record.endpoint

    def _endpoint(self, deployment: Deployment) -> Circuit | None:
        name = address(deployment)
        if sum(address(each) == name for each in self.deployments()) < 2:
            return None
        return self._endpoints.setdefault(name, Circuit(name))

    def _prune(self) -> None:
        """Deployments that a reload removed."""
        known = {each.id: address(each) for each in self.deployments()}
        addresses = set(known.values())
        self._records = {id: record for id, record in self._records.items() if id in known}
        self._endpoints = {name: circuit for name, circuit in self._endpoints.items() if name in addresses}
        for name in [each for each in self.open if each not in known and each not in addresses]:
            del self.open[name]


def _news(circuit: Circuit, now_s: float) -> News:
    error = circuit.last_error
    told = (error.kind, error.message[:500]) if error else ("server", "")
    return News(circuit.name, circuit.until_s - now_s, circuit.level, *told)


def address(deployment: Deployment) -> str:
    return f"{deployment.provider} {deployment.api_base or ''}".rstrip()
