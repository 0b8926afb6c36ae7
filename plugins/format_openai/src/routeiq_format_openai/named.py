"""Members that only some formats have: which of them Chat Completions can say, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw
from routeiq_sdk.crossing import refuse
from routeiq_sdk.openai_family import UNREADABLE, is_set
from routeiq_sdk.openai_requests import Members
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import loads

from .target import Target

OWN = {
    "prediction": "prediction", "modalities": "modalities", "audio": "audio", "moderation": "moderation", "store": "store",
    "web_search_options": "web_search_options", "prompt_cache_key": "cache.key", "prompt_cache_retention": "cache.retention",
    "prompt_cache_options": "cache.options",
}  # fmt: skip
"""Member → report name."""
MEMBERS = {name: member for member, name in OWN.items()}
_DETAILS = {"low": "low", "medium": "auto", "high": "high", "ultra_high": "high"}
_KNOWN_INCLUDES = frozenset(("reasoning.encrypted_content", "message.output_text.logprobs"))
"""Other fields of the content stand for them."""


def write_named(given: Mapping[str, bytes], stream: bool, to: Target) -> Members:
    """Of another format's request. Raises `ClientError` for what must not be left out."""
    made: Members = {}
    for name, raw in given.items():
        if not is_set(raw):
            continue
        refuse(name, raw)
        value = _loaded(raw)
        if name in _WRITERS:
            _WRITERS[name](value, made, to)
        elif name in MEMBERS and to.native:
            made[MEMBERS[name]] = raw
        elif not _is_default(name, value):
            to.lose(f"{name};drop")
    _write_output_media(given, stream, made, to)
    return made


def _is_default(name: str, value: Any) -> bool:
    """What the provider does anyway."""
    if name == "include":
        return isinstance(value, list) and set(map(str, value)) <= _KNOWN_INCLUDES
    return value is False or value in ([], {}) or (name, value) in (("truncation", "disabled"), ("speed", "standard"))


def _speed(value: Any, made: Members, to: Target) -> None:
    if value == "fast" and to.native:
        made["service_tier"] = b'"fast"'
        to.lose("speed;approx")
    elif value != "standard":
        to.lose("speed;drop")


def _cache_auto(value: Any, made: Members, to: Target) -> None:
    """OpenAI caches without being asked, for a time of its own."""
    to.lose("cache.auto;approx")


def _media_resolution(value: Any, made: Members, to: Target) -> None:
    word = str(value).lower().removeprefix("media_resolution_")
    to.detail = _DETAILS.get(word)
    to.lose("media_resolution;approx" if to.detail else "media_resolution;drop")


def _later(value: Any, made: Members, to: Target) -> None:
    """Written by `_write_output_media`, which needs several of them."""


_WRITERS: dict[str, Callable[[Any, Members, Target], None]] = {
    "speed": _speed, "cache.auto": _cache_auto, "media_resolution": _media_resolution, "modalities": _later, "speech_config": _later,
}  # fmt: skip


def _write_output_media(given: Mapping[str, bytes], stream: bool, made: Members, to: Target) -> None:
    """Gemini's modalities and voice."""
    wanted = _loaded(given.get("modalities", b"null"))
    kinds = [str(kind).lower() for kind in wanted] if isinstance(wanted, list) else []
    spoken = _loaded(given.get("speech_config", b"null"))
    if kinds and kinds != ["text"]:
        made["modalities"] = dump(list(dict.fromkeys(["text", *kinds])))
        if kinds[0] != "text":
            to.lose("modalities;approx")
    if "audio" in kinds and "audio" not in made:
        made["audio"] = dump({"voice": (_voice(spoken) or "alloy").lower(), "format": "pcm16" if stream else "wav"})
        to.lose("speech_config;approx" if spoken else "audio;approx")
    elif spoken is not None:
        to.lose("speech_config;drop")


def _voice(config: Any) -> str:
    """`voiceConfig.prebuiltVoiceConfig.voiceName`, in either spelling."""
    for names in (("voiceConfig", "voice_config"), ("prebuiltVoiceConfig", "prebuilt_voice_config"), ("voiceName", "voice_name")):
        config = next((config[name] for name in names if name in config), "") if isinstance(config, dict) else ""
    return config if isinstance(config, str) else ""


def search_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`web_search_options` of another format's web search tool."""
    made: dict[str, Any] = {}
    if "search_context_size" in options:
        made["search_context_size"] = options["search_context_size"]
    place = options.get("user_location")
    if isinstance(place, dict):
        made["user_location"] = {"type": "approximate", "approximate": {name: value for name, value in place.items() if name != "type"}}
    return made


def _loaded(raw: bytes | Raw) -> Any:
    try:
        return loads(bytes(raw))
    except UNREADABLE:
        return None
