"""`Content` of any format → path and body of a request: a pure function, so that prompt caches hit."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from msgspec import Raw
from routeiq_sdk.crossing import BUDGETS, EFFORTS, refuse
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, OutputOptions, ReasoningOptions, Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.stream import Media
from routeiq_sdk.wire import Built, loads, members, patch

from . import contents, schema, tools
from .fit import Fit
from .parse import NAMED, parse_reasoning
from .wire import NAME, Fields, camel, write

MAX_STOPS = 5
LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH", "max": "XHIGH"}
DEFAULTS = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_tokens": "maxOutputTokens", "n": "candidateCount",
    "max_completion_tokens": "maxOutputTokens", "stop": "stopSequences", "seed": "seed", "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}  # fmt: skip
"""LiteLLM's names of request defaults → members of `generationConfig`."""
CONFIGURED = frozenset(("modalities", "speech_config", "image_config", "media_resolution"))
TOP_NAMED = {name: wire for wire, name in NAMED.items() if name not in CONFIGURED}
CONFIG_NAMED = {name: wire for wire, name in NAMED.items() if name in CONFIGURED}
_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?")


def version(deployment: Deployment) -> int:
    """The generation in the model's name; names without one mean the latest."""
    found = _VERSION.search(deployment.model)
    return int(found[1]) if found else 3


def path(request: Request, deployment: Deployment) -> str:
    name = deployment.model if "/" in deployment.model else f"models/{deployment.model}"
    method = "countTokens" if request.operation == "count_tokens" else "streamGenerateContent" if request.stream else "generateContent"
    return f"/v1beta/{quote(name, safe='/-._~@')}:{method}{'?alt=sse' if method == 'streamGenerateContent' else ''}"


def edits(request: Request, deployment: Deployment) -> dict[str, bytes | None]:
    """The members to change of a request that nobody edited."""
    spelled = {camel(name): name for name in request.members}
    found: dict[str, bytes | None] = {}
    if "model" in spelled:
        found[spelled["model"]] = write(f"models/{deployment.model}")
    if request.operation == "count_tokens":
        inner = spelled.get("generateContentRequest")
        if inner:
            start, end = request.members[inner]
            found[inner] = _with_model(request.body[start:end], deployment)
        return found
    config = spelled.get("generationConfig", "generationConfig")
    start, end = request.members.get(config, (0, 0))
    given = request.body[start:end] if end and request.body[start:end] != b"null" else b"{}"
    own = Fields(given).names.keys()
    added = {DEFAULTS[name]: _default(name, value) for name, value in deployment.defaults.items() if name in DEFAULTS}
    if missing := {name: value for name, value in added.items() if name not in own}:
        found[config] = patch(given, members(given), missing)
    for name, value in deployment.defaults.items():
        if name not in DEFAULTS and camel(name) not in spelled and camel(name) != "generationConfig":
            found[camel(name)] = value
    return found


def _default(name: str, value: bytes) -> bytes:
    return b"[%b]" % value if name == "stop" and not value.startswith(b"[") else value


def _with_model(raw: bytes, deployment: Deployment) -> bytes:
    return patch(raw, members(raw), {"model": write(f"models/{deployment.model}")})


def build(request: Request, deployment: Deployment) -> Built:
    if request.format == NAME and not request.edited and not getattr(request.members, "has_foreign_state", False):
        return Built(path(request, deployment), patch(request.body, request.members, edits(request, deployment)))
    losses: list[str] = []
    body = _Body(request, deployment, losses).write()
    return Built(path(request, deployment), write(body), (), tuple(dict.fromkeys(losses)))


class _Body:
    """One build: the request, its target, and what gets lost on the way."""

    def __init__(self, request: Request, deployment: Deployment, losses: list[str]) -> None:
        self.request, self.deployment, self.losses = request, deployment, losses
        self.content: Content = request.content
        self.crossed = request.format != NAME
        self.latest = version(deployment) >= 3
        self.config: dict[str, Any] = {}

    def write(self) -> dict[str, Any]:
        content, counting = self.content, self.request.operation == "count_tokens"
        body: dict[str, Any] = {}
        alias = tools.alias_of(content.tools) if self.crossed else _same
        fit = Fit(alias, self.latest, self.losses)
        leading = contents.leading_system(content.messages)
        system, rest = content.messages[:leading], content.messages[leading:]
        body["contents"] = contents.write_crossed(rest, fit, self.latest) if self.crossed else contents.write_own(rest, fit)
        if (instruction := contents.write_system(system, fit, self.crossed)) is not None:
            body["systemInstruction"] = instruction
        self._tools(body)
        self._sampling()
        self._output(content.output)
        if content.reasoning is not None:
            self._reasoning(content.reasoning)
        self._rest(body)
        for name, value in self.deployment.defaults.items():
            if name in DEFAULTS:
                self.config.setdefault(DEFAULTS[name], Raw(_default(name, value)))
            else:
                body.setdefault(camel(name), Raw(value))
        if self.config:
            body["generationConfig"] = self.config
        if not counting:
            return body
        whole = body.keys() != {"contents"}
        return {"generateContentRequest": {"model": f"models/{self.deployment.model}", **body}} if whole else body

    def _tools(self, body: dict[str, Any]) -> None:
        offered = self.content.tools
        written = tools.build(offered, self.losses)
        options = self.content.named.get("web_search_options", b"null")
        if self.crossed and options != b"null" and not any(tool.canonical == "web_search" for tool in offered):
            self.losses.append("web_search_options;approx")
            written.append({"googleSearch": {}})
        if written:
            body["tools"] = written
        calling = tools.choose(self.content.tool_choice, offered, self.crossed, self.losses)
        config: dict[str, Any] = {}
        for name, raw in self.content.ext.items() if not self.crossed else ():
            head, _, member = name.partition(".")
            if head == "toolConfig" and not member.startswith("functionCallingConfig."):
                config[member] = Raw(raw)
            elif head == "toolConfig":
                calling = {**(calling or {}), member.partition(".")[2]: Raw(raw)}
        if calling:
            config["functionCallingConfig"] = calling
        if config:
            body["toolConfig"] = config

    def _sampling(self) -> None:
        sampling, config = self.content.sampling, self.config
        for name, wire in (
            ("temperature", "temperature"), ("top_p", "topP"), ("top_k", "topK"), ("frequency_penalty", "frequencyPenalty"),
            ("presence_penalty", "presencePenalty"), ("seed", "seed"),
        ):  # fmt: skip
            value = getattr(sampling, name)
            if value is not None:
                config[wire] = Raw(value.encode())
        if sampling.n is not None:
            config["candidateCount"] = sampling.n
        if self.content.max_output_tokens is not None:
            config["maxOutputTokens"] = self.content.max_output_tokens
        if sampling.stop:
            stops = sampling.stop[:MAX_STOPS] if self.crossed else sampling.stop
            config["stopSequences"] = stops
            if len(stops) < len(sampling.stop):
                self.losses.append("stop;approx")
        if sampling.logit_bias and sampling.logit_bias not in (b"null", b"{}"):
            self.losses.append("logit_bias;drop")
        if sampling.logprobs is not None:
            config["responseLogprobs"] = sampling.logprobs
        if sampling.top_logprobs is not None:
            config["logprobs"] = sampling.top_logprobs

    def _output(self, wanted: OutputOptions | None) -> None:
        if wanted is None:
            return
        config = self.config
        if wanted.verbosity is not None:
            self.losses.append("verbosity;drop")
        if wanted.description:
            self.losses.append("response_format.description;drop")
        if wanted.type == "json":
            config["responseMimeType"] = "application/json"
        elif wanted.type == "schema":
            config["responseMimeType"] = "application/json"
            given = wanted.schema or b"{}"
            config["responseJsonSchema"] = schema.fitted(given, self.losses, "response_format.schema") if self.crossed else Raw(given)
        elif wanted.type == "enum":
            config["responseMimeType"] = "text/x.enum"
            config["responseJsonSchema"] = Raw(wanted.schema or b"{}")
        elif wanted.type == "text" and not self.crossed:
            config["responseMimeType"] = "text/plain"
        elif wanted.type not in ("text", "json", "schema", "enum"):
            self.losses.append("response_format;drop")

    def _reasoning(self, wanted: ReasoningOptions) -> None:
        if wanted.native and not self.crossed and parse_reasoning(Fields(wanted.native), wanted.native) == wanted:
            self.config["thinkingConfig"] = Raw(wanted.native)
            return
        thinking = self._thinking(wanted)
        shows = wanted.show in ("summary", "full") or (
            wanted.show is None and self.request.format == "anthropic" and wanted.mode in ("budget", "auto")
        )
        if shows:
            thinking["includeThoughts"] = True
        if thinking:
            self.config["thinkingConfig"] = thinking

    def _thinking(self, wanted: ReasoningOptions) -> dict[str, Any]:
        effort = wanted.effort
        if wanted.mode == "off" or effort == "none":
            if not self.latest:
                return {"thinkingBudget": 0}
            self.losses.append("reasoning;approx")
            return {"thinkingLevel": "MINIMAL"}
        if wanted.mode == "budget" and wanted.budget_tokens is not None:
            return {"thinkingBudget": wanted.budget_tokens}
        if effort in EFFORTS:
            if self.latest:
                if effort == "max":
                    self.losses.append("reasoning.effort;approx")
                return {"thinkingLevel": LEVELS[effort]}
            self.losses.append("reasoning.effort;approx")
            return {"thinkingBudget": self._budget(BUDGETS[effort])}
        if effort is not None:
            self.losses.append("reasoning.effort;drop")
        return {"thinkingBudget": -1} if wanted.mode == "auto" and not self.latest else {}

    def _budget(self, tokens: int) -> int:
        """What the model takes, and leaves room for the answer."""
        most = 24_576 if "flash" in self.deployment.model else 32_768
        limit = self.content.max_output_tokens
        return max(min(tokens, most, limit - 1024 if limit is not None else most), 128)

    def _rest(self, body: dict[str, Any]) -> None:
        content = self.content
        if not self.crossed:
            self._own(body)
            return
        if content.end_user is not None:
            self.losses.append("end_user;drop")
        if content.metadata and content.metadata not in (b"null", b"{}"):
            self.losses.append("metadata;drop")
        self._tier(body, content.service_tier)
        self._named(body)
        self._details()
        self.losses.extend(f"ext.{name};drop" for name, value in content.ext.items() if value != b"null")

    def _own(self, body: dict[str, Any]) -> None:
        content = self.content
        if content.metadata:
            body["labels"] = Raw(content.metadata)
        if content.service_tier is not None:
            body["serviceTier"] = {"default": "standard"}.get(content.service_tier, content.service_tier)
        for name, value in content.named.items():
            if name in CONFIG_NAMED:
                self.config[CONFIG_NAMED[name]] = Raw(value)
            else:
                body[TOP_NAMED.get(name, name)] = Raw(value)
        for name, value in content.ext.items():
            head, _, member = name.partition(".")
            if head == "generationConfig" and member:
                self.config[member] = Raw(value)
            elif head != "toolConfig" or not member:
                body[name] = Raw(value)

    def _tier(self, body: dict[str, Any], tier: str | None) -> None:
        if tier is None:
            return
        if tier in ("flex", "priority"):
            body["serviceTier"] = tier
        elif tier == "default":
            body["serviceTier"] = "standard"
            self.losses.append("service_tier;approx")
        else:
            self.losses.append("service_tier;drop")

    def _named(self, body: dict[str, Any]) -> None:
        for name, value in self.content.named.items():
            if value in (b"null", b"") or name == "web_search_options" or (name == "background" and value == b"false"):
                continue
            refuse(name, value)
            if name == "store":
                body["store"] = Raw(value)
            elif name == "modalities":
                self._modalities(value)
            elif name == "include":
                self._include(value)
            else:
                self.losses.append(f"{name};drop")

    def _modalities(self, value: bytes) -> None:
        """Text is what every model gives; pictures and speech only some do, and their names say so."""
        given = [str(each).lower() for each in loads(value)] if value.startswith(b"[") else []
        model = self.deployment.model
        for kind, words in (("audio", ("tts", "audio")), ("image", ("image",))):
            if kind in given and not any(word in model for word in words):
                raise ClientError(f"modalities: the model behind this name gives no {kind}.", param="modalities")
        if set(given) - {"text"}:
            self.config["responseModalities"] = [kind.upper() for kind in given]

    def _include(self, value: bytes) -> None:
        given = set(loads(value)) if value.startswith(b"[") else set()
        if "message.output_text.logprobs" in given:
            self.config["responseLogprobs"] = True
        if given - {"message.output_text.logprobs", "reasoning.encrypted_content"}:
            self.losses.append("include;drop")

    def _details(self) -> None:
        """The detail of pictures is one setting here; it goes where all of them agree."""
        given = {part.detail for message in self.content.messages for part in message.parts if isinstance(part, Media) and part.detail}
        given.discard("auto")
        if given in ({"low"}, {"high"}):
            self.config["mediaResolution"] = f"MEDIA_RESOLUTION_{given.pop().upper()}"
            self.losses.append("media_resolution;approx")
        elif given:
            self.losses.append("media_resolution;drop")


def _same(name: str, namespace: str) -> str:
    return name
