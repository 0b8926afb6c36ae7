"""The names that this plugin registers: LiteLLM's own list, less the providers that are reached without it.

`providers.txt` is the list of the SDK as it is pinned, written anew after a change of the pin with

    python -c "from litellm.types.utils import LlmProviders as P; print(*sorted(p.value for p in P), sep='\\n')" > providers.txt
"""

from __future__ import annotations

from importlib.resources import files

ANY = "litellm"
"""`litellm/<provider>/<model>` goes through the SDK, whoever else knows the provider."""

DIRECT = frozenset((
    "anthropic", "azure", "azure_ai", "cerebras", "custom", "custom_openai", "dashscope", "deepinfra", "deepseek", "featherless_ai",
    "fireworks_ai", "gemini", "groq", "hosted_vllm", "hyperbolic", "llamafile", "lm_studio", "mistral", "moonshot", "nebius", "novita",
    "nvidia_nim", "ollama", "ollama_chat", "openai", "openai_like", "openrouter", "perplexity", "sambanova", "text-completion-openai",
    "together_ai", "vercel_ai_gateway", "vertex_ai", "volcengine", "xai", "xinference", "zai",
))  # fmt: skip
"""What `provider_http` registers."""

NO_PROVIDERS = frozenset(("auto_router", "dotprompt", "humanloop", "langfuse", "litellm_agent"))
"""Names in LiteLLM's list that are routers and prompt stores."""


def known() -> tuple[str, ...]:
    """All of LiteLLM's names."""
    return tuple(files(__package__).joinpath("providers.txt").read_text("utf-8").split())


def registered() -> tuple[str, ...]:
    return (ANY, *(name for name in known() if name not in DIRECT | NO_PROVIDERS))
