"""The providers, as data. Names are LiteLLM's; keys come with the deployment, never from here."""

from __future__ import annotations

from attrs import frozen


@frozen
class Row:
    """`base` None: the deployment must name its api_base. `versioned`: a bare host serves the paths under /v1."""

    name: str
    base: str | None
    needs_key: bool = True
    format: str = "openai"
    models: tuple[str, ...] = ()
    versioned: bool = True


@frozen
class Family:
    """What all providers of a format have in common. Header names are lower-case."""

    key_header: str
    key_prefix: str
    defaults: tuple[tuple[str, str], ...]
    forwarded: frozenset[bytes]
    endpoint: str
    """How an api_base may end that names the endpoint itself."""
    query: frozenset[str] = frozenset()
    """Names of query parameters that pass; a client's query string may hold keys."""


OPENAI_MODELS = ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "ft:gpt-*", "text-embedding-*")

PROVIDERS = (
    Row("openai", "https://api.openai.com/v1", models=OPENAI_MODELS),
    Row("anthropic", "https://api.anthropic.com", format="anthropic", models=("claude-*",)),
    Row("custom_openai", None, needs_key=False),
    Row("openai_like", None, needs_key=False),
    Row("hosted_vllm", None, needs_key=False),
    Row("lm_studio", "http://localhost:1234/v1", needs_key=False),
    Row("ollama", "http://localhost:11434/v1", needs_key=False),
    Row("ollama_chat", "http://localhost:11434/v1", needs_key=False),
    Row("deepseek", "https://api.deepseek.com/v1"),
    Row("fireworks_ai", "https://api.fireworks.ai/inference/v1"),
    Row("groq", "https://api.groq.com/openai/v1"),
    Row("mistral", "https://api.mistral.ai/v1"),
    Row("openrouter", "https://openrouter.ai/api/v1"),
    Row("perplexity", "https://api.perplexity.ai", versioned=False),
    Row("together_ai", "https://api.together.xyz/v1"),
    Row("xai", "https://api.x.ai/v1"),
)

COMMON = (("content-type", "application/json"), ("accept", "application/json"), ("user-agent", "routeiq"))
TRACING = frozenset((b"traceparent", b"tracestate", b"idempotency-key"))

FAMILIES = {
    "openai": Family("authorization", "Bearer ", COMMON, TRACING | {b"openai-beta", b"x-client-request-id"}, "/chat/completions"),
    "anthropic": Family(
        "x-api-key",
        "",
        (*COMMON, ("anthropic-version", "2023-06-01")),
        TRACING | {b"anthropic-version", b"anthropic-beta"},
        "/messages",
        frozenset(("beta",)),
    ),
}

RETURNED = frozenset((b"retry-after", b"retry-after-ms", b"x-should-retry", b"request-id", b"anthropic-organization-id"))
RETURNED_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit", b"openai-", b"llm_provider-")
RENAMED = {b"x-request-id": b"x-upstream-request-id"}
"""`x-request-id` of an answer is the gateway's own."""

PUBLIC = frozenset(
    ("accept", "content-type", "http-referer", "openai-organization", "openai-project", "user-agent", "x-title")
) | frozenset(("anthropic-beta", "anthropic-version", "openai-beta"))
"""Extra headers that are no secret. Every other one may be."""
