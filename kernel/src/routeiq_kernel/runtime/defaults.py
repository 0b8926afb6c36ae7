"""A gateway without a configuration still serves: the demo model, and the providers whose usual key is in the environment."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from ..config.load import Document

KEYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "OPENAI_API_KEY": ("openai", ("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*")),
    "ANTHROPIC_API_KEY": ("anthropic", ("claude-*",)),
}
"""Variable → provider and the bare model names that mean it."""


def with_default_models(document: Document, providers: Collection[str]) -> Document:
    if document.path is not None or "model_list" in document.data:
        return document
    models: list[dict[str, Any]] = []
    for variable, (provider, names) in KEYS.items():
        if document.environ.get(variable) and provider in providers:
            key = f"os.environ/{variable}"
            pairs = [(f"{provider}/*", f"{provider}/*"), *((name, f"{provider}/{name}") for name in names)]
            models += [{"model_name": name, "litellm_params": {"model": model, "api_key": key}} for name, model in pairs]
    if not models and "demo" in providers:
        models = [{"model_name": "demo", "litellm_params": {"model": "demo/demo"}}]
    return attrs.evolve(document, data={**document.data, "model_list": models})
