"""The provider that a request is written for: what it takes, and what gets lost on the way."""

from __future__ import annotations

import re

from msgspec import Struct
from routeiq_sdk.crossing import Names, short_id
from routeiq_sdk.openai_requests import may_reason, model_name
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment

from .chunks import NAME

NATIVE_PROVIDERS = ("openai", "azure")
"""They know `max_completion_tokens` and `developer`; compatible ones often only `max_tokens` and `system`, but take `top_k`."""
NAMES = Names(re.compile(r"[A-Za-z0-9_-]{1,64}"), re.compile(r"[^A-Za-z0-9_-]"), 64)
CALL_ID_LIMIT = 40
"""Some models refuse call ids longer than this, others than 64."""
_ANY = re.compile(r".+", re.DOTALL)
_REASONS = re.compile(r"o\d|gpt-5(?!.*chat)|codex")
_CLAUDE = "claude"
"""OpenRouter, LiteLLM and their like pass `cache_control` on to it, on parts and on tools."""
_SEARCHES = re.compile(r"search|sonar")


class Target(Struct):
    """`crossed`: the request is of another format, `client`. `native`: the provider is OpenAI itself. `marks`: the model takes cache
    breakpoints of other formats (`model_info.supports_prompt_cache_breakpoint`). `controls`: it takes Anthropic's `cache_control`."""

    crossed: bool
    native: bool
    losses: list[str]
    client: str = NAME
    model: str = ""
    takes_effort: bool = True
    marks: bool = False
    controls: bool = False
    detail: str | None = None
    """For images without one of their own."""

    def lose(self, name: str) -> None:
        self.losses.append(name)

    @property
    def reasons(self) -> bool:
        """A model that takes no sampling options."""
        return self.native and _REASONS.match(self.model) is not None

    @property
    def searches(self) -> bool:
        return _SEARCHES.search(self.model) is not None


def target(request: Request, deployment: Deployment, losses: list[str]) -> Target:
    native = deployment.provider in NATIVE_PROVIDERS
    takes_effort = not native or may_reason(deployment)
    name = model_name(deployment)
    marks = native and deployment.info.get("supports_prompt_cache_breakpoint") is True
    return Target(request.format != NAME, native, losses, request.format, name, takes_effort, marks, not native and _CLAUDE in name)


def call_id(given: str) -> str:
    return short_id(given, "call_", CALL_ID_LIMIT, _ANY)
