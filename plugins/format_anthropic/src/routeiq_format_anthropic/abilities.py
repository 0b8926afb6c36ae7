"""What a model takes, as far as its configuration (`model_info`) or its name tells."""

from __future__ import annotations

import re

from routeiq_sdk.resources import Deployment

DEFAULT_MAX_TOKENS = 4096
WHOLE_ANSWER_LIMIT = 21_333
"""Longer whole answers take over ten minutes, and the API refuses them unless they are streamed."""
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


def version(deployment: Deployment) -> tuple[int, int]:
    """The Claude version in the model's name; (0, 0) where there is none."""
    match = _VERSION.search(deployment.model)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def takes_adaptive(deployment: Deployment) -> bool:
    known = deployment.info.get("supports_adaptive_thinking")
    return bool(known) if known is not None else version(deployment) >= (4, 6)


def takes_sampling(deployment: Deployment) -> bool:
    known = deployment.info.get("supports_sampling")
    return bool(known) if known is not None else version(deployment) < (4, 7)


def max_tokens(deployment: Deployment, stream: bool) -> int:
    known = next((n for name in ("max_output_tokens", "max_tokens") if isinstance(n := deployment.info.get(name), int)), DEFAULT_MAX_TOKENS)
    return known if stream else min(known, WHOLE_ANSWER_LIMIT)
