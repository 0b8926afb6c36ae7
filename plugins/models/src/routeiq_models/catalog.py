"""What is known of models: the shipped data, read at their first use, under what the operator says in `model_info`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk import Deployment
from routeiq_sdk.model_names import spellings
from routeiq_sdk.services import ModelCard

SUPPORTS = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_audio_input": "audio_input",
    "supports_pdf_input": "pdf_input",
    "supports_reasoning": "reasoning",
    "supports_adaptive_thinking": "adaptive_thinking",
    "supports_sampling": "sampling",
    "supports_sampling_params": "sampling",
    "supports_response_schema": "response_schema",
    "supports_prompt_caching": "prompt_caching",
    "supports_system_messages": "system_role",
    "supports_developer_role": "developer_role",
    "supports_audio_output": "audio_output",
    "supports_image_output": "image_output",
    "supports_web_search": "web_search",
}
"""Key of LiteLLM's `model_info` → ability."""
KNOWN_MODELS = 1_000
"""Cards kept at hand: a wildcard deployment has as many models as its clients can name."""


class Known(Struct, frozen=True, rename={"max_input": "in", "max_output": "out"}):
    """An entry of the data. `can` lists abilities, and with a `-` before them those that the model has not."""

    max_input: int | None = None
    max_output: int | None = None
    can: str = ""
    mode: str = "chat"


class Shipped(Struct, frozen=True):
    version: str
    models: dict[str, Raw]


_known = msgspec.json.Decoder(Known)


class Catalog:
    def __init__(self) -> None:
        self._cards: dict[tuple[str, str], tuple[Deployment, ModelCard | None]] = {}

    @cached_property
    def shipped(self) -> Shipped:
        data = files("routeiq_models").joinpath("data/models.json").read_bytes()
        return msgspec.json.decode(data, type=Shipped)

    def known(self, deployment: Deployment) -> tuple[str, Known] | None:
        """The canonical name, and what the data say."""
        for name in spellings(deployment):
            raw = self.shipped.models.get(name)
            if raw is not None:
                return name, _known.decode(raw)
        return None

    def card(self, deployment: Deployment) -> ModelCard | None:
        key = (deployment.id, deployment.model)
        held = self._cards.get(key)
        if held is not None and (held[0] is deployment or held[0] == deployment):
            return held[1]
        card = self._made(deployment)
        if len(self._cards) >= KNOWN_MODELS:
            self._cards.clear()
        self._cards[key] = (deployment, card)
        return card

    def _made(self, deployment: Deployment) -> ModelCard | None:
        found, info = self.known(deployment), deployment.info
        told = {ability: value for key, ability in SUPPORTS.items() if isinstance(value := info.get(key), bool)}
        limits = {name: limit(info, name) for name in ("max_input_tokens", "max_output_tokens", "max_tokens")}
        if found is None and not told and not any(limits.values()):
            return None
        name, known = found or (f"{deployment.provider}/{deployment.model}", Known())
        words = {word.removeprefix("-"): not word.startswith("-") for word in known.can.split()} | told
        return ModelCard(
            id=name,
            max_input_tokens=limits["max_input_tokens"] or known.max_input,
            max_output_tokens=limits["max_output_tokens"] or limits["max_tokens"] or known.max_output,
            abilities=frozenset(word for word, has in words.items() if has),
            lacks=frozenset(word for word, has in words.items() if not has),
            owned_by=name.partition("/")[0],
        )


def limit(info: Mapping[str, Any], name: str) -> int | None:
    """Numbers may be quoted, as LiteLLM allows."""
    value = info.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
