"""The OpenAI Chat Completions format as a RouteIQ plugin."""

from routeiq_sdk import CLOCK, Manifest

manifest = Manifest(
    name="format_openai",
    api="1.0",
    factory="routeiq_format_openai.plugin:OpenAIFormat",
    summary="OpenAI Chat Completions: /v1/chat/completions, /v1/models, with and without /v1",
    optional=(CLOCK,),
    default_enabled=True,
)
