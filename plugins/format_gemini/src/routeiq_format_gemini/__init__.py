"""The Gemini generateContent format as a RouteIQ plugin."""

from routeiq_sdk import Manifest

manifest = Manifest(
    name="format_gemini",
    api="1.0",
    factory="routeiq_format_gemini.plugin:GeminiFormat",
    summary="Gemini: /v1beta/models/{model}:generateContent, :streamGenerateContent, :countTokens, /v1beta/models",
    default_enabled=True,
)
