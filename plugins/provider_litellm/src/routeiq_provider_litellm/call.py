"""An OpenAI-format body → the arguments of `litellm.acompletion`.

Any keyword of that function may steer LiteLLM: where it connects, with which key, what it calls back. So a client's members pass by
name only (`MEMBERS`), those that the operator wrote into `litellm_params` pass with the operator's value, and every other one is
refused: nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import frozen
from routeiq_sdk import Call, ClientError, ConfigError, Deployment, Secret

from .names import ANY

MEMBERS = frozenset((
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "messages", "min_p", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed", "service_tier",
    "stop", "store", "stream", "stream_options", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_logprobs", "top_p",
    "user", "verbosity", "web_search_options",
))  # fmt: skip
OURS = frozenset((
    "additional_drop_params", "allowed_model_region", "allowed_openai_params", "budget_duration", "cache", "cache_key", "caching",
    "caching_groups", "configurable_clientside_auth_params", "context_window_fallback_dict", "cooldown_time", "fallbacks",
    "fastest_response", "guardrails", "headers", "itpm", "max_budget", "max_fallbacks", "max_parallel_requests", "mock_response",
    "mock_timeout", "model_info", "no-log", "otpm", "pass_client_credentials", "retry_policy", "retry_strategy", "tag_regex", "tags",
    "tiered_pricing",
))  # fmt: skip
"""Settings of a deployment that are the gateway's or a proxy's business: the SDK would retry, cache or fall back by itself."""
STEADY = {"max_retries": 0, "num_retries": 0, "no-log": True, "_skip_mcp_handler": True}
"""Retries and accounts are the gateway's. So are tools the client's: LiteLLM would call MCP servers for some, and for all of them
imports `mcp`, which it does not require."""
NO_LIMIT_S = 86_400.0
"""The gateway has its own deadlines and cancels; LiteLLM's must not come before them."""
PATH = "/chat/completions"
decode = msgspec.json.Decoder(dict[str, Any]).decode


@frozen
class Binding:
    """`fixed`: the arguments that every call of the deployment has. `forced`: members as the operator wrote them."""

    fixed: Mapping[str, Any]
    headers: Mapping[str, str]
    forced: Mapping[str, Any]
    allowed: frozenset[str]
    dropped: frozenset[str]

    def arguments(self, call: Call) -> dict[str, Any]:
        """Raises `ClientError` for what cannot be passed on."""
        if call.forwarded or not call.path.endswith(PATH) or not isinstance(call.body, bytes):
            raise ClientError(
                "This model is reached through the LiteLLM SDK, which the gateway uses for chat only.", code="unsupported_operation"
            )
        body = decode(call.body)
        del body["model"]
        made = {}
        for name, value in body.items():
            if name in self.forced:
                if value != self.forced[name]:
                    raise refused(name)
            elif name not in self.allowed:
                if name not in self.dropped:
                    raise refused(name)
                continue
            made[name] = value
        made |= self.fixed
        if call.headers or self.headers:
            made["headers"] = {**dict(call.headers), **self.headers}
        return made


def refused(name: str) -> ClientError:
    way_out = "it may be listed in litellm_params.additional_drop_params or allowed_openai_params"
    return ClientError(f"{name}: this model's provider is not given this parameter; {way_out}.", param=name, code="unsupported_parameter")


def bind(deployment: Deployment) -> Binding:
    """Raises `ConfigError`."""
    params = revealed(deployment.params)
    if params.get("pass_client_credentials"):
        raise ConfigError(f"deployment {deployment.group!r}: provider_litellm cannot pass the client's credentials on")
    fixed = {name: value for name, value in params.items() if name not in OURS}
    custom = fixed.get("custom_llm_provider")
    prefixed = deployment.provider == ANY or custom == deployment.provider
    fixed["model"] = deployment.model if prefixed else f"{deployment.provider}/{deployment.model}"
    if deployment.provider == ANY and "/" not in deployment.model and not custom:
        raise ConfigError(f"deployment {deployment.group!r}: write litellm/<provider>/<model>, not litellm/{deployment.model}")
    if deployment.api_base:
        fixed["api_base"] = deployment.api_base
    if deployment.api_key:
        fixed["api_key"] = deployment.api_key.reveal()
    fixed |= STEADY
    defaults = {name: msgspec.json.decode(value) for name, value in deployment.defaults.items()}
    allowed = MEMBERS | frozenset(_names(params, "allowed_openai_params", deployment))
    dropped = frozenset(_names(params, "additional_drop_params", deployment))
    forced = {name: value for name, value in defaults.items() if name not in allowed}
    return Binding(fixed, params.get("headers") or {}, forced, allowed - dropped, dropped)


def _names(params: Mapping[str, Any], key: str, deployment: Deployment) -> list[str]:
    names = params.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"deployment {deployment.group!r}: its {key} must be a list of names")
    return names


def revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {name: revealed(each) for name, each in value.items()}
    return [revealed(each) for each in value] if isinstance(value, list | tuple) else value


def secrets(deployment: Deployment) -> list[str]:
    """Every text of the deployment that no answer and no log may show."""
    return [*_texts(deployment.params, False), *([deployment.api_key.reveal()] if deployment.api_key else [])]


def _texts(value: Any, hidden: bool) -> list[str]:
    if isinstance(value, Secret):
        return [value.reveal()]
    if isinstance(value, str):
        return [value] if hidden else []
    if isinstance(value, Mapping):
        return [text for name, each in value.items() for text in _texts(each, hidden or name.endswith(("headers", "credentials")))]
    return [text for each in value for text in _texts(each, hidden)] if isinstance(value, list | tuple) else []
