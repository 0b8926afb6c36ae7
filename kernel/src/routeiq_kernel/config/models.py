"""`model_list` → deployments. A key of `litellm_params` is one of three: a field of `Deployment`, a connection setting that only
the provider understands (`params`), or else a default for a request member that the client did not send (`defaults`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta, json
from routeiq_sdk import ConfigError, Deployment, Secret

from .load import REFERENCE, Document
from .problems import nearest
from .secrets import is_secret
from .strict import Reader

Split = Callable[[str, Mapping[str, Any]], tuple[str, str]]
Count = Annotated[int, Meta(ge=0)]
Length = Annotated[float, Meta(gt=0)]
DEFAULTS = "router_settings.default_litellm_params"
ENTRY = ("model_name", "litellm_params", "model_info")
ALIASES = {"base_url": "api_base", "num_retries": "max_retries", "request_timeout": "timeout"}
FAMILIES = re.compile(
    r"(aws|azure|vertex|s3|gcs|gcp|watsonx|wx|databricks|bedrock|oci|sagemaker|snowflake|milvus|valkey|langfuse|langsmith|litellm|"
    r"(auto|complexity|adaptive|quality)_router)_|((in|out)put|cache|citation|search|ocr|annotation)\w*_cost|\w+_cost_per_"
)


FIELDS: dict[str, tuple[str, Any]] = {
    "model": ("model", str),
    "api_base": ("api_base", str),
    "api_key": ("api_key", Secret),
    "timeout": ("timeout_s", Length),
    "stream_timeout": ("stream_timeout_s", Length),
    "max_retries": ("max_retries", Count),
    "rpm": ("rpm", Count),
    "tpm": ("tpm", Count),
    "weight": ("weight", Annotated[float, Meta(ge=0)]),
    "order": ("order", int),
}
"""Key of `litellm_params` → field of `Deployment` and type."""


@frozen
class Known:
    """Names that others defined."""

    litellm: dict[str, list[str]]
    """Section → settings; "sections" holds the sections that only LiteLLM has."""
    connection: list[str]
    """Keys of `litellm_params` that the provider understands."""
    variables: dict[str, list[str]]
    """Feature → environment variables."""


def known() -> Known:
    return json.decode(Path(__file__).with_name("known.json").read_bytes(), type=Known)


def deployments(document: Document, split: Split) -> tuple[Deployment, ...]:
    """In the file's order. `split(model, litellm_params)` gives provider and upstream model, or raises `ConfigError`.
    Raises `ConfigError` with all problems of the list."""
    builder = Builder(document, split)
    entries = document.data.get("model_list") or []
    found = [deployment for index, entry in enumerate(entries) if (deployment := builder.deployment(entry, f"model_list.{index}"))]
    if builder.reader.problems:
        raise ConfigError(*builder.reader.problems)
    return tuple(found)


class Builder:
    def __init__(self, document: Document, split: Split) -> None:
        self.reader, self.split = Reader(document), split
        self.common = self.reader.mapping(document.get(DEFAULTS), DEFAULTS)
        self.connection = frozenset(known().connection)
        self.ids: set[str] = set()

    def deployment(self, entry: Any, path: str) -> Deployment | None:
        before = len(self.reader.problems)
        entry = self.reader.mapping(entry, path)
        self.require(ENTRY[:2], entry, path)
        group = self.reader.convert(str, entry.get("model_name", ""), f"{path}.model_name")
        info = self.reader.convert(dict[str, Any], entry.get("model_info") or {}, f"{path}.model_info")
        raw = self.reader.mapping(entry.get("litellm_params", {"model": ""}), f"{path}.litellm_params")
        raw = {ALIASES.get(key, key): value for key, value in {**self.common, **raw}.items() if ALIASES.get(key) not in raw}
        self.require(("model",), raw, f"{path}.litellm_params")
        values = {}
        for key, value in raw.items():
            if value is not None:  # numbers may be quoted, as LiteLLM allows
                kind = FIELDS[key][1] if key in FIELDS else Any
                values[key] = self.reader.convert(kind, value, f"{path}.litellm_params.{key}", text=key in FIELDS)
        body = self.reader.mapping(values.pop("extra_body", None), f"{path}.litellm_params.extra_body")
        if len(self.reader.problems) > before:
            return None
        try:
            provider, values["model"] = self.split(values["model"], raw)
        except ConfigError as error:
            self.reader.problem(f"{path}.litellm_params.model", "; ".join(error.problems))
            return None
        identity = {"id": self.id(group, raw, info, path), "group": group, "provider": provider, "info": info}
        return Deployment(**identity, **self.sorted(values, body))

    def require(self, names: Iterable[str], entry: Mapping[str, Any], path: str) -> None:
        for name in names:
            if entry.get(name) is None:
                other = next((key for key in entry if key not in ENTRY and nearest(key, [name])), None)
                self.reader.problem(path, f"{name} is missing{f'; did you mean it by {other}?' if other else ''}")

    def sorted(self, values: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        own = {FIELDS[key][0]: value for key, value in values.items() if key in FIELDS}
        rest = {key: value for key, value in values.items() if key not in FIELDS}
        params = {key: value for key, value in rest.items() if key in self.connection or FAMILIES.match(key)}
        members = {key: value for key, value in rest.items() if key not in params} | dict(body)
        hidden = {key: Secret(value) for key, value in params.items() if isinstance(value, str) and is_secret(key, value)}
        return own | {"defaults": {key: json.encode(value) for key, value in members.items()}, "params": params | hidden}

    def id(self, group: str, raw: Mapping[str, Any], info: Mapping[str, Any], path: str) -> str:
        """The operator's own, else made of everything but secrets; twins are numbered in the file's order."""
        public = {key: value for key, value in raw.items() if not is_secret(key, value) or str(value).startswith(REFERENCE)}
        base = str(info.get("id") or hashlib.sha256(json.encode([group, public], order="deterministic")).hexdigest()[:16])
        if base in self.ids and info.get("id"):
            self.reader.problem(f"{path}.model_info.id", f"{base!r} is the id of two deployments")
        name = next(name for name in chain([base], (f"{base}-{number}" for number in count(2))) if name not in self.ids)
        self.ids.add(name)
        return name
