"""The OpenAI Responses format as a RouteIQ plugin."""

from routeiq_sdk import CLOCK, Manifest

manifest = Manifest(
    name="format_responses",
    api="1.0",
    factory="routeiq_format_responses.plugin:ResponsesFormat",
    summary="OpenAI Responses: /v1/responses, /v1/responses/input_tokens, with and without /v1",
    optional=(CLOCK,),
    default_enabled=True,
)
