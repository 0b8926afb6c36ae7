"""How the providers do, as the requests of all workers found out; nobody is probed for the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import time
from typing import Any
from urllib.parse import urlsplit

from routeiq_sdk import Deployment
from routeiq_sdk.services import DeploymentState

WORST = ("cooling", "probing", "healthy", "unknown")
MAX_MESSAGE_CHARS = 300


def packed(states: Sequence[DeploymentState]) -> list[dict[str, Any]]:
    """What other workers need to know."""
    return [_packed(state) for state in states]


def _packed(state: DeploymentState) -> dict[str, Any]:
    error, since_s = state.last_error, state.last_error_time_s
    told = {"kind": error.kind, "status": error.http_status, "message": error.message[:MAX_MESSAGE_CHARS]} if error else None
    if told and since_s is not None:
        told["seconds_ago"] = round(time() - since_s, 1)
    return {
        "id": state.deployment.id, "state": state.state, "left_s": state.left_s, "failures": state.failures,
        "error_rate": round(state.error_rate, 4), "last_error": told,
    }  # fmt: skip


def health(deployments: Sequence[Deployment], workers: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """`workers`: what each of them found; a deployment is as well as its worst state among them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for state in (state for states in workers for state in states):
        found.setdefault(state.pop("id"), []).append(state)
    told = [_deployment(each, found.get(each.id, [])) for each in deployments]
    sick = [each for each in told if each["state"] in WORST[:2]]
    providers = {
        provider: _provider([each for each in told if each["provider"] == provider]) for provider in dict.fromkeys(names(deployments))
    }
    return {"status": "degraded" if sick else "healthy", "providers": providers, "deployments": told}


def _deployment(deployment: Deployment, states: list[dict[str, Any]]) -> dict[str, Any]:
    states.sort(key=lambda state: (WORST.index(state["state"]), -state["failures"], state["last_error"] is None))
    worst = states[0] if states else {"state": "unknown"}
    whose = {"id": deployment.id, "model": deployment.group, "provider": deployment.provider, "upstream_model": deployment.model}
    return {**whose, **worst, "workers": dict(Counter(state["state"] for state in states))}


def _provider(deployments: list[dict[str, Any]]) -> dict[str, Any]:
    cooling = sum(each["state"] in WORST[:2] for each in deployments)
    status = "down" if cooling == len(deployments) else "degraded" if cooling else "healthy"
    return {"status": status, "deployments": len(deployments), "cooling": cooling}


def endpoints(deployments: Sequence[Deployment], workers: Sequence[Sequence[dict[str, Any]]], *, details: bool) -> dict[str, Any]:
    """`health` in the shape of LiteLLM's `GET /health`. Deployments of which nothing is known are in neither list."""
    states = {each["id"]: each for each in health(deployments, workers)["deployments"]}
    well = [_endpoint(each, None, details) for each in deployments if states[each.id]["state"] == "healthy"]
    sick = [_endpoint(each, states[each.id]["last_error"], details) for each in deployments if states[each.id]["state"] in WORST[:2]]
    return {"healthy_endpoints": well, "unhealthy_endpoints": sick, "healthy_count": len(well), "unhealthy_count": len(sick)}


def _endpoint(deployment: Deployment, error: dict[str, Any] | None, details: bool) -> dict[str, Any]:
    """An address may hold a credential before its host or behind its path: neither is told."""
    told = {"model": f"{deployment.provider}/{deployment.model}"}
    if not details:
        return told
    if deployment.api_base:
        url = urlsplit(deployment.api_base)
        told["api_base"] = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    if error:
        told["error"] = f"{error['kind']}: {error['message']}"
    return told | {"model_name": deployment.group, "model_id": deployment.id}


def providers(deployments: Sequence[Deployment]) -> list[dict[str, Any]]:
    """Those of the configuration, in its order. `default_model` is the first model of each."""
    found: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        found.setdefault(deployment.provider, []).append(deployment)
    return [_configured(name, those) for name, those in found.items()]


def _configured(name: str, those: Sequence[Deployment]) -> dict[str, Any]:
    models = [*dict.fromkeys(deployment.group for deployment in those)]
    return {"name": name, "enabled": True, "default_model": models[0], "models": models, "deployments": len(those)}


def names(deployments: Sequence[Deployment]) -> list[str]:
    return [deployment.provider for deployment in deployments]
