"""The attempts: one loop, one budget, one set of deadlines, one commit point. Plugins decide: `route` gives the plan,
`on_upstream_error` says retry, next, another model, rescue or fail; without one there is one attempt. Until the commit point retries
are invisible to the client; behind it an error is an event of its stream, unless another attempt finishes the answer."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from msgspec import structs
from routeiq_sdk import Attempt, ClientError, Failure, Model, Next, Request, Rescue, Retry, UpstreamError
from routeiq_sdk.stream import Error, UsageParts

from ..runtime.graph import Bound, home
from ..runtime.guard import ask, fold_sync
from .account import cost_of, count, usage_of
from .call import run
from .choose import MAX_MODELS, order, plan
from .context import Broken, Rc, Stopped
from .deadlines import MESSAGES, timed_out
from .raw import after
from .rescue import Delivered, Rescuer, deliver

MAX_ATTEMPTS = 10
Answer = Callable[[Rc, Request], Awaitable[str]]
"""What becomes of a request that is understood: `answer`, as a rule."""


async def answer(rc: Rc, request: Request) -> str:
    """Returns the outcome of a request that got its answer. Raises what ended it otherwise."""
    rc.request, bounds = await plan(rc, request)
    return await Attempts(rc, rc.request, bounds).run()


async def answer_once(rc: Rc, request: Request, only: str | None = None) -> str:
    """As `answer`, by one attempt: at the deployment of the id `only`, where there is one."""
    rc.fallbacks = ()
    bounds = await order(rc, request, only)
    return await Attempts(rc, request, bounds[:1], 1).run()


class Attempts:
    """Of one request, at most `most`."""

    __slots__ = ("_begun", "_bounds", "_broken", "_delivered", "_models", "_most", "_next", "_place", "_rc", "_request", "_tokens")

    def __init__(self, rc: Rc, request: Request, bounds: Sequence[Bound], most: int = MAX_ATTEMPTS) -> None:
        self._rc, self._request, self._bounds, self._most = rc, request, bounds, most
        self._begun = monotonic()
        self._models = self._place = self._tokens = 0
        self._next = 1
        """The first place of the plan that was not asked yet."""
        self._broken: Broken | None = None
        """The first break of an answer that the client has a part of."""
        self._delivered: Delivered | None = None
        rc.meant = rc.meant or home(bounds[0].deployment)
        if request.stream and rc.graph.chains.on_upstream_error and rc.forward is None:
            rc.kept = []

    async def run(self) -> str:
        rc = self._rc
        while True:
            rc.tries += 1
            rc.bound = bound = self._bounds[self._place].speaking(rc.codec)
            try:
                return await self._attempt(bound)
            except (UpstreamError, Broken) as error:
                rc.watch.until = float("inf")
                if rc.gone:
                    raise Stopped(Error(kind="cancelled", message="The client left."), "cancelled") from None
                after_s = await self._decide(error, rc.bound or bound)
                if after_s is None:
                    raise self._told(error) from None
                if not self._broken:
                    self._spend()
            except ClientError as error:  # the deployment that was to finish the answer cannot be asked
                raise self._told(error) from None
            await asyncio.sleep(max(0.0, after_s))

    async def _attempt(self, bound: Bound) -> str:
        rc = self._rc
        rc.began_s = monotonic()
        number, error = rc.tries, None
        outcome = "error"
        try:
            outcome = await run(rc, self._request, bound, self._rival(), self._begun)
            return outcome
        except UpstreamError as failure:
            error, rc.detail = failure.error, failure.detail
            raise
        except Stopped as stopped:
            error, outcome = stopped.error, stopped.status
            raise
        except CancelledError:
            fired = rc.watch.fired
            if fired is not None and rc.egress.done:
                outcome = "complete"  # the client has it all; only the provider's last bytes were awaited
                rc.watch.disarm()
                return outcome
            if fired is None and not rc.watch.task.cancelling():
                error = Error(kind="server", code="internal_error", message="The provider's plugin cancelled itself.")
                raise after(rc.first_token_s is not None, error) from None
            if fired not in MESSAGES:
                outcome = "cancelled"
                raise
            error = timed_out(fired)
            rc.watch.disarm()
            if fired in ("draining", "reloaded", "called"):
                raise Stopped(error) from None
            if rc.first_token_s is not None:
                raise Broken(error, "error", "timeout") from None
            raise UpstreamError(error, "timeout") from None
        finally:
            self._next += rc.tries - number  # the rival was asked too
            if rc.bound is not bound:
                self._place, number = self._next - 1, rc.tries
            started_s = rc.began_s - rc.started_s
            seen = Attempt(
                number=number, deployment=(rc.bound or bound).deployment, outcome=outcome, error=error, started_s=started_s,
                first_token_s=None if rc.first_token_s is None else rc.first_token_s - started_s, duration_s=monotonic() - rc.began_s,
                usage=rc.usage,
            )  # fmt: skip
            rc.attempts.append(seen)
            if rc.graph.chains.on_attempt:
                fold_sync(rc.graph.chains.on_attempt, seen, rc)

    def _rival(self) -> Bound | None:
        """Whom to ask too when this attempt is slow."""
        plan = self._rc.plan
        if plan is None or plan.hedge_after_s is None or self._next == len(self._bounds):
            return None
        return self._bounds[self._next].speaking(self._rc.codec)

    async def _decide(self, error: UpstreamError | Broken, bound: Bound) -> float | None:
        """Seconds until the next attempt, which is prepared. None where there is none. It raises nothing that it was given: the
        exception would hold this frame, and the frame the exception."""
        rc, chain = self._rc, self._rc.graph.chains.on_upstream_error
        if isinstance(error, Broken):
            await self._broke(error)
        elif rc.said > 0 or (self._broken and rc.usage is not None):
            await self._price("error")
        if not chain or rc.tries >= self._most or (rc.forward and rc.forward.spent):
            return None
        upcoming, delivered = self._bounds[self._next : self._next + 1], self._delivered
        seen = Failure(
            error=error.error, deployment=bound.deployment, number=rc.tries, phase=error.phase,
            retried=sum(each.deployment.id == bound.deployment.id for each in rc.attempts),
            upcoming=upcoming[0].deployment if upcoming else None, committed=self._broken is not None,
            delivered=delivered.text if delivered else "", in_text=delivered is None or delivered.in_text,
            rescue=rc.rescue.mode if rc.rescue else None, left_s=self._begun + rc.graph.settings.timeouts.all_s - monotonic(),
        )  # fmt: skip
        decision = await ask(chain, rc.watch, seen, rc)
        if not isinstance(decision, Retry | Next | Model | Rescue):
            return None
        if monotonic() + decision.after_s > self._begun + rc.graph.settings.timeouts.all_s:
            return None
        if self._broken and not (isinstance(decision, Rescue) and self._save(decision)):
            return None
        if isinstance(decision, Model | Rescue) and (model := decision.name if isinstance(decision, Model) else decision.model):
            if not await self._start_over(model):
                return None
        elif not isinstance(decision, Retry):
            if not upcoming and not self._broken:
                return None
            if upcoming:
                self._place, self._next = self._next, self._next + 1
        return float(decision.after_s)

    def _told(self, error: Exception) -> Exception:
        """The client is told of the break of its answer, not of how finishing it failed."""
        broken, self._broken = self._broken, None  # once raised it holds a frame that holds this
        return broken or error

    async def _broke(self, broken: Broken) -> None:
        """Account for an answer of which the client has a part. As long as it flowed nobody was kept waiting: the budget begins anew."""
        rc = self._rc
        usage = await self._price(broken.status)
        self._broken = self._broken or Broken(broken.error, broken.status, broken.phase)
        self._begun = monotonic()
        self._delivered = deliver(rc)
        joined = rc.rescue.usage(usage) if rc.rescue and usage else usage
        self._tokens = (joined.output or 0) if joined else self._tokens

    async def _price(self, status: str) -> UsageParts | None:
        """What the last attempt used, its answer having broken off with `status`."""
        rc = self._rc
        rc.outcome_status = status
        await count(rc)
        usage = usage_of(rc)
        rc.attempts[-1] = structs.replace(rc.attempts[-1], usage=usage, cost=cost_of(rc, usage))
        rc.outcome_status = ""
        return usage

    def _spend(self) -> None:
        """The last attempt is accounted for, also where the next one never begins."""
        rc = self._rc
        if rc.attempts[-1].cost is not None:
            rc.spent.append(rc.attempts[-1].cost)
        rc.usage = rc.first_token_s = rc.priced = None
        rc.said = 0

    def _save(self, decision: Rescue) -> bool:
        """False where the client has something that no other answer can go on from."""
        rc, delivered = self._rc, self._delivered
        if delivered is None or not delivered.in_text or rc.encoder is None:
            return False
        self._spend()
        rc.rescue = Rescuer(decision.mode, delivered, rc.encoder, self._tokens)
        self._request = rc.rescue.request(rc.request or self._request)
        return True

    async def _start_over(self, model: str) -> bool:
        rc = self._rc
        self._models += 1
        if self._models > MAX_MODELS:
            return False
        try:
            self._request, self._bounds = await plan(rc, self._request.replace(model=model))
        except (ClientError, Stopped):
            return False
        self._place, self._next = 0, 1
        if self._broken is None:
            rc.request = self._request
        return True
