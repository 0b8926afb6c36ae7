"""How a model is found in a table of known ones: `provider/name`, from the spelling that the operator chose to the plainest one.

Only what says nothing about the model is taken away: a date, `-latest`, a region. A shorter name is never guessed: `gpt-4o-mini-x`
is no `gpt-4o-mini`, and what runs behind `hosted_vllm` is nobody's list price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .resources import Deployment

SAME: dict[str, tuple[str, ...]] = {
    "azure": ("openai",),
    "azure_ai": ("azure", "openai"),
    "azure_text": ("azure", "openai"),
    "text-completion-openai": ("openai",),
    "vertex_ai": ("gemini", "anthropic"),
    "vertex_ai_beta": ("vertex_ai", "gemini", "anthropic"),
    "cohere_chat": ("cohere",),
    "bedrock_converse": ("bedrock",),
    "codestral": ("mistral",),
}
"""Provider → those that sell the same models under the same names at the same list price."""

_DATE = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|\d\d-20\d\d|\d{4}|latest)$")
_TUNED = re.compile(r"(ft:[^:]+):.*")
_REGION = re.compile(r"(?:us|eu|apac|au|jp|ca|sa|us-gov|global)\.(?=\w+\.)")
_VERSION = re.compile(r"(?:-v\d+)?(?::\d+)?$")


def spellings(deployment: Deployment) -> Iterator[str]:
    """Names to look up, the most exact first; `base_model` of `model_info` before the deployment's own."""
    base = deployment.info.get("base_model") or deployment.params.get("base_model")
    seen: set[str] = set()
    for model in (base, deployment.model):
        if not isinstance(model, str) or not model:
            continue
        for name in _plainer(model.lower()):
            for provider in (deployment.provider, *SAME.get(deployment.provider, ())):
                for key in (f"{provider}/{name}", *((name,) if model is base and "/" in name else ())):
                    if key not in seen:
                        seen.add(key)
                        yield key


def _plainer(name: str) -> Iterator[str]:
    yield name
    name = _TUNED.sub(r"\1", name).replace("@", "-")
    yield name
    name = _REGION.sub("", name)
    yield name
    if "." in name and ":" in name:
        name = _VERSION.sub("", name)
        yield name
    while (shorter := _DATE.sub("", name)) != name:
        name = shorter
        yield name
