"""The LiteLLM SDK itself: imported when the first deployment needs it, which takes some five seconds and 200 MB.

LiteLLM takes these settings from the environment, at its import; `quiet` is the only place where this plugin writes there, and it
reads nothing from it. What LiteLLM looks up by itself afterwards (AWS profiles, Google's default credentials) is its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from routeiq_sdk import ConfigError

STOLEN = frozenset(("1.82.7", "1.82.8"))
"""Releases that send credentials away (MAL-2026-2144)."""
LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")


def absent(model: str) -> str:
    return f'{model} needs the LiteLLM SDK, which is not installed. Install it: pip install "routeiq[litellm]"'


def problem(model: str) -> str | None:
    """Why the SDK cannot serve `model`, found out without importing it."""
    if find_spec("litellm") is None:
        return absent(model)
    return unsafe(metadata.version("litellm"))


def unsafe(version: str) -> str | None:
    if version in STOLEN:
        return f'litellm {version} is a release that steals credentials. Remove it: pip install "routeiq[litellm]"'
    return None


def quiet(fetch_media_mb: float) -> None:
    """No downloads at import, no `.env` file, no log lines that may hold payloads or keys."""
    os.environ.update(
        LITELLM_MODE="PRODUCTION",
        LITELLM_LOG="CRITICAL",
        LITELLM_TELEMETRY="False",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
        LITELLM_LOCAL_AUTOROUTER_PRESETS="True",
        LITELLM_LOCAL_BLOG_POSTS="True",
        LITELLM_LOCAL_POLICY_TEMPLATES="True",
        MAX_IMAGE_URL_DOWNLOAD_SIZE_MB=f"{fetch_media_mb:g}",
    )


def load(fetch_media_mb: float) -> Any:
    """Import it. Blocks for seconds. Raises `ConfigError`."""
    quiet(fetch_media_mb)
    try:
        litellm = import_module("litellm")
    except ImportError as error:
        raise ConfigError(f'the LiteLLM SDK cannot be imported ({error}). Repair it: pip install "routeiq[litellm]"') from error
    litellm.telemetry = False
    litellm.disable_hf_tokenizer_download = True
    litellm.suppress_debug_info = True
    litellm.drop_params = False
    litellm.num_retries = 0
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def _nothing(*args: Any, **options: Any) -> None:
    """Instead of an account."""


async def _nothing_later(*args: Any, **options: Any) -> None:
    """Instead of an account."""


NO_ACCOUNTS = {
    "response_cost_calculator": _nothing,
    "claim_async_success_log": _nothing,
    "failure_handler": _nothing,
    "async_success_handler": _nothing_later,
    "async_failure_handler": _nothing_later,
    "dispatch_success_handlers": _nothing_later,
    "dispatch_failure_handlers": _nothing_later,
}


def without_accounts(litellm: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """With the logging object that LiteLLM would make for the call, less the prices and log records that nobody here reads: a
    quarter of what a whole answer costs, and a made-up `cost` in the usage of a stream. May raise what a call raises."""
    made = {"litellm_call_id": str(uuid4()), **arguments}
    logger, made = litellm.utils.function_setup("acompletion", litellm.utils.Rules(), datetime.now(), **made)  # noqa: DTZ005 (LiteLLM's own is naive)
    vars(logger).update(NO_ACCOUNTS)
    return {**made, "litellm_logging_obj": logger}


class Sdk:
    """LiteLLM, once it is there."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._module: Any = None

    async def get(self) -> Any:
        if self._module is None:
            async with self._lock:
                if self._module is None:
                    self._module = await asyncio.to_thread(self._load)
        return self._module
