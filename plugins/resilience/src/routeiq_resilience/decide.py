"""What to do about a failed attempt: a pure decision from the failure, the request's history and the health of deployments."""

from __future__ import annotations

from collections.abc import Sequence

from routeiq_sdk import Deployment, Fail, Failure, Model, Next, RequestContext, Rescue, Retry
from routeiq_sdk.services import ModelCatalog

from .config import Config
from .groups import members, merged, named
from .health import Health
from .pacing import Backoff, RetryBudget
from .taxonomy import CREDENTIAL, REACH, Reach, is_silent, reach
from .tried import NAME, Tried, tried

Decision = Retry | Next | Model | Rescue | Fail
ATTEMPTS_PER_MODEL = 6
CALM_AFTER, CALM_S = 4, 3.0
"""After so many attempts at one deployment the next one waits so long, at least."""
MAX_RESCUES = 3
UNLIKE = "rescue_failed"
"""The code of an answer that does not begin with what was delivered: another one of the same deployment would not either."""
PLANNING = "plan"
"""The phase of a failure for which nobody was asked: no deployment was left."""


class Decider:
    def __init__(self, config: Config, health: Health, backoff: Backoff, budget: RetryBudget) -> None:
        self._config, self._health, self._backoff, self._budget = config, health, backoff, budget
        self.catalog: ModelCatalog | None = None
        self._general = merged(config.fallbacks)
        self._larger = merged(config.context_window_fallbacks)
        self._has_chains = bool(self._general or config.default_fallbacks)
        self._permitted = merged(config.content_policy_fallbacks)

    def decide(self, failure: Failure, rc: RequestContext) -> Decision:
        done = tried(rc)
        done.attempts += 1
        if failure.committed:
            return self._rescued(failure, rc, done)
        if failure.phase == PLANNING:
            return self._on(failure, rc, done)
        error, deployment = failure.error, failure.deployment
        if error.kind in CREDENTIAL and is_own_key(deployment, rc):
            return Fail()
        allowed = self._config.retries(error.kind, done.group)
        found = reach(failure, allowed)
        if found is Reach.SAME and (wait_s := self._wait(failure, rc, done, allowed)) is not None:
            done.retries += 1
            return Retry(wait_s)
        if found is Reach.LARGER:
            return self._to_larger(failure, rc, done)
        if error.kind not in REACH:
            chain = self._chain(self._permitted, done.asked.content_policy_fallbacks, done, deployment)
            return self._to(chain, done) if error.kind == "content_policy" else Fail()
        if done.probe == deployment.id and self.serves(done.group):
            done.probe = ""
            return Model(done.group)
        return self._on(failure, rc, done)

    def has_other(self, deployment: Deployment, rc: RequestContext) -> bool:
        """Whether another deployment or model could answer instead."""
        if rc.plan is not None and rc.plan.order and rc.plan.order[-1].id != deployment.id:
            return True
        done: Tried | None = rc.state.get(NAME)
        if done is None:
            if rc.fallbacks is None and not self._has_chains:
                return False
            done = tried(rc)
        if done.probe == deployment.id or done.pending:
            return True
        return not done.seen.issuperset(self.fallbacks(done, deployment, rc))

    def has_healthy_fallback(self, deployment: Deployment, rc: RequestContext) -> bool:
        """Whether a model that this request has not seen yet is served by a healthy deployment."""
        done = tried(rc)
        if done.moves >= self._config.max_fallbacks:
            return False
        ahead = [*done.pending, *(name for name in self.fallbacks(done, deployment, rc) if name not in done.seen)]
        return any(map(self.serves, ahead))

    def fallbacks(self, done: Tried, deployment: Deployment, rc: RequestContext) -> Sequence[str]:
        """The models to go to from the current one."""
        if done.asked.disable_fallbacks:
            return ()
        if rc.fallbacks is not None:
            return rc.fallbacks
        found = named(self._general, done.group, deployment.group)
        return self._config.default_fallbacks if found is None else found

    def serves(self, model: str) -> bool:
        """Whether a healthy deployment does."""
        return bool(self._healthy(model))

    def _healthy(self, model: str) -> list[Deployment]:
        return [*filter(self._health.is_healthy, members(self._health.deployments(), model))]

    def _wait(self, failure: Failure, rc: RequestContext, done: Tried, allowed: int | None) -> float | None:
        """Seconds until the same deployment is asked again; None if it should not be."""
        most = allowed
        if most is None:
            most = failure.deployment.max_retries if failure.deployment.max_retries is not None else self._config.num_retries
            most = most if done.asked.num_retries is None else done.asked.num_retries
        if done.retries >= most or done.attempts >= ATTEMPTS_PER_MODEL or not may_repeat(failure, rc):
            return None
        if not self._health.is_healthy(failure.deployment) or self._has_equal(failure):
            return None
        asked_s = failure.error.retry_after_s
        if asked_s is not None and asked_s > self._config.max_retry_after_s:
            return None
        done.wait_s = self._backoff.after(done.wait_s)
        wait_s = max(done.wait_s, self._backoff.asked(asked_s or 0.0), CALM_S if failure.retried >= CALM_AFTER else 0.0)
        return wait_s if wait_s < failure.left_s and self._budget.spend(self._health.clock.monotonic()) else None

    def _has_equal(self, failure: Failure) -> bool:
        """Whether a limit of this deployment is best avoided on an equal one: another key or region, of the same order."""
        other = failure.upcoming
        limited = failure.error.kind == "rate_limit" and other is not None and other.order == failure.deployment.order
        return limited and other is not None and self._health.is_healthy(other)

    def _on(self, failure: Failure, rc: RequestContext, done: Tried) -> Decision:
        """The next deployment, else the next model. A deployment that cools down too is asked at the budget's cost."""
        other = failure.upcoming
        is_paid = other is not None and (self._health.is_healthy(other) or self._budget.spend(self._health.clock.monotonic()))
        if is_paid and done.attempts < ATTEMPTS_PER_MODEL and may_repeat(failure, rc):
            return Next()
        if failure.phase != PLANNING and not may_repeat(failure, rc):
            return Fail()
        return self._to(self.fallbacks(done, failure.deployment, rc), done)

    def _to(self, chain: Sequence[str], done: Tried) -> Decision:
        """The first model that was not tried, of those that wait and then of `chain`; what stays behind waits."""
        for name in chain:
            if name not in done.seen:
                done.seen.add(name)
                done.pending.append(name)
        if not done.pending or done.moves >= self._config.max_fallbacks:
            return Fail()
        done.move(done.pending.pop(0))
        return Model(done.group)

    def _chain(self, chains: dict[str, tuple[str, ...]], asked: Sequence[str] | None, done: Tried, of: Deployment) -> Sequence[str]:
        if done.asked.disable_fallbacks:
            return ()
        return asked if asked is not None else named(chains, done.group, of.group) or ()

    def _to_larger(self, failure: Failure, rc: RequestContext, done: Tried) -> Decision:
        """`context_window_fallbacks`, else a deployment or model that is larger, or may be."""
        deployment = failure.deployment
        size = self._size(deployment)
        if size and failure.upcoming is not None and (self._size(failure.upcoming) or 0) > size:
            return Next()
        chain = self._chain(self._larger, done.asked.context_window_fallbacks, done, deployment)
        if not chain:
            chain = [name for name in self.fallbacks(done, deployment, rc) if self._may_hold_more(name, size)]
        return self._to(chain, done)

    def _may_hold_more(self, model: str, size: int | None) -> bool:
        sizes = [self._size(each) for each in members(self._health.deployments(), model)]
        return size is None or not sizes or any(each is None or each > size for each in sizes)

    def _size(self, deployment: Deployment) -> int | None:
        card = self.catalog.card(deployment) if self.catalog else None
        return card.max_input_tokens if card else None

    def _rescued(self, failure: Failure, rc: RequestContext, done: Tried) -> Decision:
        mode = named(self._config.rescue, done.group, failure.deployment.group)
        refused = failure.rescue == "continue" and failure.error.kind in ("invalid_request", "unprocessable")
        if mode == "error" or not failure.in_text or done.rescues >= MAX_RESCUES:
            return Fail()
        if not refused and failure.error.kind not in REACH:
            return Fail()
        done.rescues += 1
        if refused:
            done.refused = True
            return Rescue("restart")
        model, target = self._target(failure, rc, done)
        is_unlike = failure.error.code == UNLIKE
        if target is failure.deployment and (is_unlike or is_silent(failure) or done.rescues > self._config.num_retries):
            return Fail()
        if done.refused:
            mode = "restart"
        elif mode is None or mode == "buffer":
            mode = "continue" if self.takes_prefill(target) else "restart"
        return Rescue(mode, self._backoff.after(0.0) if target is failure.deployment else 0.0, model)

    def _target(self, failure: Failure, rc: RequestContext, done: Tried) -> tuple[str | None, Deployment]:
        """Who goes on: the next deployment, one that a probe kept out, another model, or the same deployment where nobody else is."""
        if failure.upcoming is not None:
            return None, failure.upcoming
        if done.probe == failure.deployment.id and (others := self._healthy(done.group)):
            done.probe = ""
            return done.group, others[0]
        choice = self._to(self.fallbacks(done, failure.deployment, rc), done)
        if not isinstance(choice, Model):
            return None, failure.deployment
        found = members(self._health.deployments(), choice.name)
        return choice.name, found[0] if found else failure.deployment

    def takes_prefill(self, deployment: Deployment) -> bool:
        """Whether it goes on from an assistant message at the end. Anthropic's models do, but for the newest, which say so."""
        told = deployment.info.get("supports_assistant_prefill")
        if isinstance(told, bool):
            return told
        return deployment.provider == "anthropic" or "claude" in deployment.model.lower()


def is_own_key(deployment: Deployment, rc: RequestContext) -> bool:
    """Whether the provider may have judged the client's own credential."""
    return bool(rc.client_credentials) and bool(deployment.params.get("pass_client_credentials"))


def may_repeat(failure: Failure, rc: RequestContext) -> bool:
    """A call that makes something at the provider is repeated only where it surely did nothing."""
    surface = rc.surface
    if surface.kind == "generate" or not surface.owns or surface.method == "GET":
        return True
    return failure.phase == "connect" or failure.error.kind in ("rate_limit", "overloaded", "over_capacity")
