"""Which deployments may serve a request, in what order, and why: authorize → candidates → route, and the record of it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs
from routeiq_sdk import ClientError, Deployment, Failure, Model, Plan, Request
from routeiq_sdk.decisions import Choice
from routeiq_sdk.stream import Error

from ..runtime.graph import Bound, home, no_model
from ..runtime.guard import ask, fold
from .context import Rc, Stopped
from .executor import denied
from .owners import is_plain, owner, read

MAX_MODELS = 5
MAX_NAME = 512


class Nobody(Stopped):
    """No deployment is left of those that serve the model, such as `deployment`."""

    def __init__(self, error: Error, deployment: Deployment) -> None:
        super().__init__(error)
        self.deployment = deployment


async def plan(rc: Rc, request: Request) -> tuple[Request, Sequence[Bound]]:
    """The deployments in the order to try, and the request: for another model where `on_upstream_error` names one because this
    one has no deployment left. Raises `Stopped` or `ClientError`."""
    while True:
        try:
            return request, await order(rc, request)
        except Nobody as nobody:
            seen = Failure(error=nobody.error, deployment=nobody.deployment, number=rc.tries, phase="plan", retried=0)
            chain = rc.graph.chains.on_upstream_error
            decision = await ask(chain, rc.watch, seen, rc) if chain and len(rc.choices) <= MAX_MODELS else None
            if not isinstance(decision, Model):
                raise
            rc.meant = rc.meant or home(nobody.deployment)
            request = request.replace(model=decision.name)


async def order(rc: Rc, request: Request, only: str | None = None) -> Sequence[Bound]:
    """Whom to ask, in this order. `only` is the id of the one deployment that may be asked. Raises as `plan` does, and `Nobody`."""
    chains = rc.graph.chains
    if chains.authorize:
        refusal = await ask(chains.authorize, rc.watch, request, rc)
        if refusal is not None:
            raise denied(refusal)
    if len(request.model) > MAX_NAME:
        raise ClientError(f"model: longer than {MAX_NAME} characters", param="model", code="invalid_model")
    found = rc.graph.models.find(request.model) if rc.forward is None else rc.forward.found(request.model)
    if only:
        found = [bound for bound in found if bound.deployment.id == only]
    if not found:
        raise no_model(request.model)
    if rc.surface.refers and request.members and not is_plain(rc):
        maker = await owner(rc, dict.fromkeys(read(request.body, rc.surface.refers), True))
        found = [bound for bound in found if maker and bound.deployment.id == maker[0].deployment.id] or found
    candidates: Sequence[Deployment] = [bound.deployment for bound in found]
    if chains.candidates:
        rc.excluded = {}
        candidates = await fold(chains.candidates, rc.watch, candidates, request, rc)
    chosen = await ask(chains.route, rc.watch, candidates, request, rc) if chains.route and candidates else None
    made = chosen or Plan(tuple(candidates), "as configured")
    policy = rc.graph.attempt_policy
    if policy is not None and made.hedge_after_s is None and (delay_s := policy.hedge_after_s(request.model, made.order)):
        made = structs.replace(made, hedge_after_s=delay_s)
    rc.plan = made
    by_id = {bound.deployment.id: bound for bound in found}
    ordered = [by_id[deployment.id] for deployment in made.order if deployment.id in by_id]
    choice = Choice(
        model=request.model, candidates=tuple(by_id), excluded=_excluded(rc, by_id, candidates), reason=made.reason,
        order=tuple([bound.deployment.id for bound in ordered]), scores=made.scores,
        decided_by=rc.watch.answered if chosen else "",
    )  # fmt: skip
    rc.choices.append(choice)
    if not ordered:
        raise Nobody(_nobody(request.model, choice), found[0].deployment)
    return ordered


def _excluded(rc: Rc, found: dict[str, Bound], candidates: Sequence[Deployment]) -> dict[str, str]:
    if len(candidates) == len(found):
        return {}
    left = {deployment.id for deployment in candidates}
    return {id: rc.excluded.get(id, "taken out by a plugin") for id in found if id not in left}


def _nobody(model: str, choice: Choice) -> Error:
    why = "; ".join(f"{id}: {reason}" for id, reason in choice.excluded.items()) or "the plan is empty"
    return Error(kind="overloaded", code="no_deployment", message=f"No deployment of {model!r} may serve this request now ({why[:1000]}).")
