"""`GET /v1/model/info` as LiteLLM has it: the deployments with their limits, abilities and prices, and without any secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import msgspec
from msgspec import Raw
from routeiq_sdk import Deployment, Reply, RequestContext
from routeiq_sdk.services import PriceBook
from routeiq_sdk.stream import UsageParts

from .catalog import SUPPORTS, Catalog

COSTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
}
LIMITS = {"rpm": "rpm", "tpm": "tpm", "timeout": "timeout_s", "stream_timeout": "stream_timeout_s", "max_retries": "max_retries",
          "weight": "weight", "order": "order"}  # fmt: skip
OPEN = ("api_version", "aws_region_name", "vertex_location", "region_name")
"""Connection settings that say nothing secret. What is not named here is not shown."""


class ModelInfo:
    """`deployments` are those of the graph that answers."""

    def __init__(self, catalog: Catalog, book: Callable[[], PriceBook | None], deployments: Sequence[Deployment]) -> None:
        self._catalog, self._book, self._deployments = catalog, book, deployments

    async def answer(self, rc: RequestContext) -> Reply:
        wanted = parse_qs(rc.query).get("litellm_model_id")
        found = [each for each in self._deployments if wanted is None or each.id == wanted[-1]]
        if wanted is not None and not found:
            return Reply(_error(f"No deployment has the id {wanted[-1][:200]!r}."), 404)
        return Reply(msgspec.json.encode({"data": [self._entry(each) for each in found]}))

    def _entry(self, deployment: Deployment) -> dict[str, Any]:
        return {"model_name": deployment.group, "litellm_params": _params(deployment), "model_info": self._info(deployment)}

    def _info(self, deployment: Deployment) -> dict[str, Any]:
        known, card = self._catalog.known(deployment), self._catalog.card(deployment)
        info: dict[str, Any] = {
            "id": deployment.id,
            "db_model": False,
            "key": known[0] if known else None,
            "litellm_provider": deployment.provider,
            "mode": known[1].mode if known else None,
            "max_tokens": card.max_output_tokens if card else None,
            "max_input_tokens": card.max_input_tokens if card else None,
            "max_output_tokens": card.max_output_tokens if card else None,
        }
        info |= {name: self._price(deployment, part) for name, part in COSTS.items()}
        for name, ability in SUPPORTS.items():
            info[name] = None if card is None else True if ability in card.abilities else False if ability in card.lacks else None
        own = {name: value for name, value in deployment.info.items() if name not in COSTS and isinstance(value, str | int | float)}
        return info | own

    def _price(self, deployment: Deployment, part: str) -> Raw | None:
        """None where no price is known, or where another stands in for it."""
        book = self._book()
        if book is None:
            return None
        cost = book.cost(deployment, UsageParts(**{part: 1}))
        return None if cost.usd is None or (cost.estimated and cost.usd) else _number(cost.usd)


def _number(value: Decimal) -> Raw:
    return Raw(f"{value:f}".encode())


def _params(deployment: Deployment) -> dict[str, Any]:
    shown: dict[str, Any] = {"model": f"{deployment.provider}/{deployment.model}"}
    if deployment.api_base:
        shown["api_base"] = _public(deployment.api_base)
    values = {name: getattr(deployment, field) for name, field in LIMITS.items()}
    values |= {name: deployment.params.get(name) for name in (*OPEN, *COSTS)}
    return shown | {name: value for name, value in values.items() if isinstance(value, str | int | float)}


def _public(url: str) -> str:
    """Without a name and password, and without a query, which may hold a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _error(message: str) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": "litellm_model_id", "code": "model_not_found"}
    return msgspec.json.encode({"error": error})
