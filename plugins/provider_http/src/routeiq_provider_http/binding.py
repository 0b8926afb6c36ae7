"""A deployment → where its requests go and which headers they carry.

How `api_base` and a path such as `/v1/chat/completions` are joined: a base that names the endpoint itself loses that ending; a
base that ends in a version (`/v1`, `/v4`, `/v1beta`) takes the path without its own `/v1`; for OpenAI's format so does every
base with a path, as LiteLLM uses it as it is given; a bare host takes the whole path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from attrs import frozen
from routeiq_sdk import ConfigError, Deployment, Secret

from .hiding import forms
from .table import FAMILIES, PUBLIC, Family, Row

Pairs = tuple[tuple[str, str], ...]
VERSION = re.compile(r"/v\d+\w*$")
HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
FRAMING = frozenset(("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"))


@frozen
class Target:
    """`fixed` headers replace those of a call, `defaults` give way to them. No answer may show `secrets`."""

    root: str
    cut: bool
    fixed: Pairs
    defaults: Pairs
    reserved: frozenset[str]
    query: frozenset[str]
    secrets: tuple[bytes, ...] = ()

    def url(self, path: str, query: str = "") -> str:
        url = self.root + (path[3:] if self.cut and path.startswith("/v1/") else path)
        kept = query and "&".join(pair for pair in query.split("&") if pair.partition("=")[0] in self.query)
        return f"{url}?{kept}" if kept else url

    def headers(self, given: Pairs) -> list[tuple[str, str]]:
        kept = [pair for pair in given if pair[0] not in self.reserved]
        names = {name for name, _ in kept}
        return [*self.fixed, *[pair for pair in self.defaults if pair[0] not in names], *kept]


def bind(row: Row, deployment: Deployment) -> Target:
    """Raises `ConfigError` with everything that is wrong with the deployment."""
    family = FAMILIES[row.format]
    problems: list[str] = []
    extra = _extra(deployment, problems)
    key = deployment.api_key.reveal() if deployment.api_key else ""
    if key and not (key.isascii() and key.isprintable() and key == key.strip()):
        problems.append("its api_key holds spaces, line breaks or characters that no header can carry")
    if not key and row.needs_key and not deployment.api_base and family.key_header not in extra:
        problems.append(f"it has no api_key; set litellm_params.api_key, for example os.environ/{row.name.upper()}_API_KEY")
    root, cut = _root(row, family, deployment.api_base, problems)
    if problems:
        raise ConfigError(*(f"deployment {deployment.group!r} ({row.name}/{deployment.model}): {problem}" for problem in problems))
    fixed = ({family.key_header: family.key_prefix + key} if key else {}) | extra
    defaults = tuple(pair for pair in family.defaults if pair[0] not in fixed)
    secrets = forms([key, *(value for name, value in fixed.items() if name not in PUBLIC)])
    return Target(root, cut, tuple(fixed.items()), defaults, frozenset(fixed), family.query, secrets)


def _extra(deployment: Deployment, problems: list[str]) -> dict[str, str]:
    """`organization` and `extra_headers`."""
    given: Any = deployment.params.get("extra_headers") or {}
    organization = deployment.params.get("organization")
    if not isinstance(given, Mapping):
        problems.append(f"its extra_headers must map names to values, not be {type(given).__name__}")
        given = {}
    headers = {str(name).lower(): _plain(value) for name, value in given.items()}
    if organization is not None:
        headers = {"openai-organization": _plain(organization), **headers}
    for name, value in headers.items():
        if name in FRAMING or not HEADER_NAME.fullmatch(name):
            problems.append(f"its extra_headers may not set {name!r}")
        elif not isinstance(value, str) or not value.isascii() or not value.isprintable():
            problems.append(f"its header {name!r} must be text of printable ASCII characters")
    return headers


def _plain(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def _root(row: Row, family: Family, api_base: str | None, problems: list[str]) -> tuple[str, bool]:
    """The base URL, and whether a path loses its `/v1` there."""
    base = (api_base or row.base or "").rstrip("/")
    if not base:
        problems.append("it has no api_base; set litellm_params.api_base to the address of the server")
        return "", False
    parts = _split(base)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        problems.append("its api_base must be http(s)://host[:port][/path], without credentials, query or fragment")
        return "", False
    root = base.removesuffix(family.endpoint)
    if row.format == "anthropic":
        return root, bool(VERSION.search(root))
    return root, bool(parts.path) or not row.versioned


def _split(base: str) -> SplitResult | None:
    try:
        parts = urlsplit(base)
        return parts if parts.port != 0 and base.isprintable() and not set(" @?#") & set(base) else None
    except ValueError:
        return None
