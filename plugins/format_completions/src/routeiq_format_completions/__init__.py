"""The OpenAI legacy Completions format as a RouteIQ plugin."""

from routeiq_sdk import CLOCK, Manifest

manifest = Manifest(
    name="format_completions",
    api="1.0",
    factory="routeiq_format_completions.plugin:CompletionsFormat",
    summary="OpenAI legacy Completions: /v1/completions, with and without /v1",
    optional=(CLOCK,),
    default_enabled=True,
)
