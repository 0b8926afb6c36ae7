"""The Anthropic Messages format as a RouteIQ plugin."""

from routeiq_sdk import Manifest
from routeiq_sdk.services import MODEL_CATALOG, TOKEN_COUNTER

manifest = Manifest(
    name="format_anthropic",
    api="1.0",
    factory="routeiq_format_anthropic.plugin:AnthropicFormat",
    summary="Anthropic Messages: /v1/messages, /v1/messages/count_tokens, /v1/models",
    optional=(MODEL_CATALOG, TOKEN_COUNTER),
    default_enabled=True,
)
