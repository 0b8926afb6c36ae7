"""The providers, as data. Names are LiteLLM's; keys come with the deployment or from the environment, never from here."""

from __future__ import annotations

from attrs import field, frozen

CHAT, RESPONSES, COMPLETIONS = "openai", "responses", "openai_completions"
BOTH, LOCAL = (CHAT, RESPONSES), (CHAT, COMPLETIONS)


@frozen
class Family:
    """What all providers of a kind have in common. Header names are lower-case."""

    key_header: str
    key_prefix: str
    defaults: tuple[tuple[str, str], ...]
    forwarded: frozenset[bytes]
    endpoints: tuple[str, ...]
    """How an api_base may end that names the endpoint itself."""
    version: str
    """The version that a bare host serves its paths under, and that the codecs' paths may begin with."""
    query: frozenset[str] = frozenset()
    """Names of query parameters that pass; a client's query string may hold keys."""


@frozen
class Row:
    """`base` None: the deployment must name its api_base. `formats`: the wire formats that it speaks, its default first.
    `env`: variables that may hold the key. `versioned`: a bare host serves the paths under the family's version."""

    name: str
    base: str | None
    formats: tuple[str, ...] = (CHAT,)
    family: str = "openai"
    needs_key: bool = True
    models: tuple[str, ...] = ()
    versioned: bool = True
    key_header: str | None = None
    prefixes: tuple[bytes, ...] = ()
    """Beginnings of further client headers that pass."""
    env: tuple[str, ...] = field()

    @env.default
    def _env(self) -> tuple[str, ...]:
        return (f"{self.name.upper()}_API_KEY",)


OPENAI_MODELS = ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "ft:gpt-*", "text-embedding-*", "dall-e-*", "whisper-*", "tts-*")

PROVIDERS = (
    Row("openai", "https://api.openai.com/v1", BOTH, models=OPENAI_MODELS, prefixes=(b"openai-",)),
    Row("text-completion-openai", "https://api.openai.com/v1", (COMPLETIONS,), models=("gpt-3.5-turbo-instruct*",),
        env=("OPENAI_API_KEY",)),
    Row("azure", None, key_header="api-key", prefixes=(b"openai-",)),
    Row("azure_ai", None, key_header="api-key"),
    Row("anthropic", "https://api.anthropic.com", ("anthropic",), "anthropic", models=("claude-*",)),
    Row("gemini", "https://generativelanguage.googleapis.com", ("gemini",), "gemini", models=("gemini-*",),
        env=("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    Row("vertex_ai", "https://aiplatform.googleapis.com", ("gemini",), "gemini", env=("VERTEXAI_API_KEY",)),
    Row("custom", None, LOCAL, needs_key=False),
    Row("custom_openai", None, LOCAL, needs_key=False),
    Row("openai_like", None, LOCAL, needs_key=False),
    Row("hosted_vllm", None, LOCAL, needs_key=False),
    Row("llamafile", "http://127.0.0.1:8080/v1", LOCAL, needs_key=False),
    Row("lm_studio", "http://localhost:1234/v1", LOCAL, needs_key=False),
    Row("ollama", "http://localhost:11434/v1", LOCAL, needs_key=False),
    Row("ollama_chat", "http://localhost:11434/v1", needs_key=False),
    Row("xinference", "http://127.0.0.1:9997/v1", LOCAL, needs_key=False),
    Row("cerebras", "https://api.cerebras.ai/v1"),
    Row("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    Row("deepinfra", "https://api.deepinfra.com/v1/openai"),
    Row("deepseek", "https://api.deepseek.com/v1"),
    Row("featherless_ai", "https://api.featherless.ai/v1"),
    Row("fireworks_ai", "https://api.fireworks.ai/inference/v1"),
    Row("groq", "https://api.groq.com/openai/v1"),
    Row("hyperbolic", "https://api.hyperbolic.xyz/v1"),
    Row("mistral", "https://api.mistral.ai/v1"),
    Row("moonshot", "https://api.moonshot.ai/v1"),
    Row("nebius", "https://api.studio.nebius.ai/v1"),
    Row("novita", "https://api.novita.ai/v3/openai"),
    Row("nvidia_nim", "https://integrate.api.nvidia.com/v1"),
    Row("openrouter", "https://openrouter.ai/api/v1"),
    Row("perplexity", "https://api.perplexity.ai", versioned=False, env=("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY")),
    Row("sambanova", "https://api.sambanova.ai/v1"),
    Row("together_ai", "https://api.together.xyz/v1", env=("TOGETHERAI_API_KEY", "TOGETHER_API_KEY")),
    Row("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", env=("VERCEL_AI_GATEWAY_API_KEY", "AI_GATEWAY_API_KEY")),
    Row("volcengine", "https://ark.cn-beijing.volces.com/api/v3", env=("VOLCENGINE_API_KEY", "ARK_API_KEY")),
    Row("xai", "https://api.x.ai/v1", BOTH),
    Row("zai", "https://api.z.ai/api/paas/v4"),
)  # fmt: skip

COMMON = (("content-type", "application/json"), ("accept", "application/json"), ("user-agent", "routeiq"))
TRACING = frozenset((b"traceparent", b"tracestate", b"idempotency-key"))

FAMILIES = {
    "openai": Family(
        "authorization", "Bearer ", COMMON, TRACING | {b"openai-beta", b"x-client-request-id"},
        ("/chat/completions", "/completions", "/responses"), "/v1",
        frozenset(("after", "before", "limit", "order", "include[]", "purpose", "stream", "starting_after")),
    ),
    "anthropic": Family(
        "x-api-key", "", (*COMMON, ("anthropic-version", "2023-06-01")), TRACING | {b"anthropic-version", b"anthropic-beta"},
        ("/messages",), "/v1", frozenset(("beta", "limit", "after_id", "before_id")),
    ),
    "gemini": Family(
        "x-goog-api-key", "", COMMON, TRACING, (), "/v1beta", frozenset(("alt", "pageSize", "pageToken", "filter")),
    ),
}  # fmt: skip

OAUTH_TOKEN, OAUTH_BETA = "sk-ant-oat", "oauth-2025-04-20"
"""Anthropic's OAuth tokens travel as `Authorization: Bearer`, and only with this beta."""

RETURNED = frozenset((
    b"retry-after", b"retry-after-ms", b"x-should-retry", b"request-id", b"anthropic-organization-id", b"x-routeiq-resent",
))  # fmt: skip
RETURNED_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit", b"openai-", b"llm_provider-")
RENAMED = {b"x-request-id": b"x-upstream-request-id"}
"""`x-request-id` of an answer is the gateway's own."""

PUBLIC = frozenset(
    ("accept", "content-type", "http-referer", "openai-organization", "openai-project", "user-agent", "x-title")
) | frozenset(("anthropic-beta", "anthropic-version", "openai-beta"))
"""Extra headers that are no secret. Every other one may be."""

KEYS = frozenset(("key", "api_key", "api-key", "apikey", "access_token", "token", "auth", "authorization", "subscription-key"))
"""Names of query parameters that may hold a client's credential."""
