"""What is asked of a deployment to see whether it answers: pure decisions of the background health checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import add
from typing import Any

from msgspec import Struct
from routeiq_sdk import Deployment, RequestContext
from routeiq_sdk.stream import Error

from .config import ANY, FAILS, Config
from .taxonomy import CLASSES

CHECKER = "gateway:resilience"
"""The principal of the checks."""
TRANSIENT = frozenset(("rate_limit", "timeout"))
"""What LiteLLM's `health_check_ignore_transient_errors` lets pass: 429 and 408."""
CHAT: tuple[str, Mapping[str, Any]] = ("/v1/chat/completions", {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1})
MODES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "chat": CHAT,
    "anthropic_messages": CHAT,
    "completion": ("/v1/completions", {"prompt": "ping", "max_tokens": 1}),
    "responses": ("/v1/responses", {"input": "ping", "max_output_tokens": 16}),
    "embedding": ("/v1/embeddings", {"input": "ping"}),
    "moderation": ("/v1/moderations", {"input": "ping"}),
    "rerank": ("/v1/rerank", {"query": "ping", "documents": ["ping"]}),
}
"""LiteLLM's `model_info.mode` → endpoint and the cheapest request that it takes. Other modes cost too much, or have no short answer."""


class Check(Struct, frozen=True):
    deployment: str
    path: str
    body: Mapping[str, Any]
    timeout_s: float


def check_of(deployment: Deployment, config: Config) -> Check | str:
    """Why it is not checked, where it is a text."""
    info, groups = deployment.info, config.background_health_check_model_groups
    if groups and deployment.group not in groups:
        return "not one of background_health_check_model_groups"
    if info.get("disable_background_health_check") is True:
        return "disable_background_health_check"
    mode = str(info.get("mode") or "chat")
    if mode not in MODES:
        return f"there is no cheap request of mode {mode[:50]}"
    if deployment.params.get("pass_client_credentials") and deployment.api_key is None:
        return "only its clients have a key"
    model = _model(deployment)
    if model is None:
        return "a wildcard needs a health_check_model that its name stands for"
    path, fields = MODES[mode]
    tokens = info.get("health_check_max_tokens")
    asked = {name: tokens if isinstance(tokens, int) and name.startswith("max_") else value for name, value in fields.items()}
    own_s = info.get("health_check_timeout")
    timeout_s = float(own_s) if isinstance(own_s, int | float) and own_s > 0 else config.health_check_timeout_s
    return Check(deployment.id, path, {"model": model, **asked}, timeout_s)


def _model(deployment: Deployment) -> str | None:
    """The name that a client would use. `health_check_model` is that, or begins with the provider as in LiteLLM: `openai/gpt-4o`."""
    head, *rest = deployment.group.split(ANY)
    if not rest:
        return head
    asked = str(deployment.info.get("health_check_model") or "")
    own = asked.removeprefix(f"{deployment.provider}/")
    pattern = deployment.model if own != asked else deployment.group
    found = re.fullmatch("(.+)".join(map(re.escape, pattern.split(ANY))), own)
    return head + "".join(map(add, found.groups(), rest)) if found else None


def is_check(rc: RequestContext) -> bool:
    return rc.principal is not None and rc.principal.id == CHECKER


def speaks_against(error: Error, deployment: Deployment, config: Config) -> bool:
    """404 does only where the operator says what the model is for: an embedding model knows no chat."""
    if error.kind == "not_found":
        return "mode" in deployment.info
    return not (config.health_check_ignore_transient_errors and error.kind in TRANSIENT)


def rest_s(error: Error, config: Config) -> float | None:
    """How long a deployment rests because a check failed: until the next one. None where the operator counts failures."""
    if config.allowed_fails is not None or CLASSES.get(error.kind, "") + FAILS in config.allowed_fails_policy:
        return None
    return max(error.retry_after_s or 0.0, config.health_check_interval)
