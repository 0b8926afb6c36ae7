"""A deployment → where its requests go and which headers they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from attrs import frozen
from routeiq_sdk import ConfigError, Deployment, Secret

from .address import Address, address
from .hiding import forms
from .table import FAMILIES, KEYS, OAUTH_BETA, OAUTH_TOKEN, PUBLIC, Family, Row

Pairs = tuple[tuple[str, str], ...]
HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
FRAMING = frozenset(("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"))
MODES = {"chat": "openai", "responses": "responses", "completion": "openai_completions"}
"""LiteLLM's `model_info.mode` → the one format in which such a deployment of OpenAI's family is asked."""


@frozen
class Target:
    """`fixed` headers replace those of a call, `defaults` give way to them. No answer may show `secrets`. `credentials`:
    the headers from which a client's own credential goes to the provider; none where that is not configured."""

    address: Address
    fixed: Pairs
    defaults: Pairs
    reserved: frozenset[str]
    query: frozenset[str]
    formats: tuple[str, ...]
    secrets: tuple[bytes, ...] = ()
    credentials: tuple[str, ...] = ()

    def url(self, path: str, query: str = "", forwarded: bool = False, model: str = "") -> str:
        """`forwarded`: all of the query passes, but for what may be a key. `model`: what a wildcard's deployment stands for."""
        if not query:
            return self.address.url(path, "", model)
        names = [(unquote_plus(pair.partition("=")[0]), pair) for pair in query.split("&")]
        own = {pair.partition("=")[0] for pair in path.partition("?")[2].split("&")}
        passes = [(name, pair) for name, pair in names if name in self.query or (forwarded and name.lower() not in KEYS)]
        kept = "&".join([pair for name, pair in passes if name not in own])
        return self.address.url(path, kept, model)

    def headers(self, given: Pairs, credentials: Mapping[str, Secret] | None = None) -> list[tuple[str, str]]:
        own = self._credential(credentials) if self.credentials and credentials else ()
        kept = [pair for pair in given if pair[0] not in self.reserved]
        fixed = [*own, *(pair for pair in self.fixed if pair[0] not in KEY_HEADERS)] if own else self.fixed
        made = [*fixed, *kept]
        if self.defaults:
            names = {name for name, _ in made}
            made += [pair for pair in self.defaults if pair[0] not in names]
        for name, value in fixed:
            if name == "authorization" and OAUTH_TOKEN in value:
                return with_oauth_beta(made)
        return made

    def _credential(self, given: Mapping[str, Secret]) -> Pairs:
        """The client's credential for this provider's kind, as the provider wants it."""
        for name in self.credentials:
            value = given[name].reveal() if name in given else ""
            if value and (self.credentials is CREDENTIALS["anthropic"] or ANTHROPIC_KEY not in value):
                return (as_header(name, value),)
        return ()


CREDENTIALS = {
    "openai": ("authorization", "api-key"),
    "anthropic": ("x-api-key", "authorization"),
    "gemini": ("x-goog-api-key", "authorization"),
}
"""Family → the headers in which its clients send their key."""
KEY_HEADERS = frozenset(name for names in CREDENTIALS.values() for name in names)
ANTHROPIC_KEY = "sk-ant-"


def as_header(name: str, value: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {value}") if value.startswith(OAUTH_TOKEN) and name == "x-api-key" else (name, value)


def with_oauth_beta(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The beta that an OAuth token needs, once, behind the others."""
    betas = [each.strip() for name, value in headers if name == "anthropic-beta" for each in value.split(",") if each.strip()]
    if OAUTH_BETA not in betas:
        betas.append(OAUTH_BETA)
    return [*(pair for pair in headers if pair[0] != "anthropic-beta"), ("anthropic-beta", ",".join(betas))]


def bind(row: Row, deployment: Deployment, key: Secret | None = None) -> Target:
    """`key` is the provider's key of the environment, for a deployment at the provider's own address. Raises `ConfigError` with
    everything that is wrong with the deployment."""
    family = FAMILIES[row.family]
    problems: list[str] = []
    extra = _extra(deployment, problems)
    passes = _flag(deployment, "pass_client_credentials", problems)
    found = deployment.api_key or (key if not deployment.api_base else None)
    secret = found.reveal() if found else ""
    if secret and not (secret.isascii() and secret.isprintable() and secret == secret.strip()):
        problems.append("its api_key holds spaces, line breaks or characters that no header can carry")
    header, prefix = _key_header(row, family, secret)
    if not secret and row.needs_key and not deployment.api_base and header not in extra and not passes:
        problems.append(f"it has no api_key; set litellm_params.api_key, for example os.environ/{row.env[0]}")
    where = address(row, family, deployment, problems)
    if problems:
        raise ConfigError(*(f"deployment {deployment.group!r} ({row.name}/{deployment.model}): {problem}" for problem in problems))
    fixed = ({header: prefix + secret} if secret else {}) | extra
    defaults = tuple(pair for pair in family.defaults if pair[0] not in fixed)
    secrets = forms([secret, *(value for name, value in fixed.items() if name not in PUBLIC)])
    return Target(
        where,
        tuple(fixed.items()),
        defaults,
        frozenset(fixed),
        family.query,
        _formats(row, deployment),
        secrets,
        CREDENTIALS[row.family] if passes else (),
    )


def _key_header(row: Row, family: Family, secret: str) -> tuple[str, str]:
    if secret.startswith((OAUTH_TOKEN, "ya29.")):  # OAuth tokens of Anthropic and Google
        return "authorization", "Bearer "
    return (row.key_header, "") if row.key_header else (family.key_header, family.key_prefix)


def _formats(row: Row, deployment: Deployment) -> tuple[str, ...]:
    mode = MODES.get(str(deployment.info.get("mode")))
    return (mode,) if mode and row.family == "openai" else row.formats


def _flag(deployment: Deployment, name: str, problems: list[str]) -> bool:
    value = deployment.params.get(name, False)
    if not isinstance(value, bool):
        problems.append(f"its {name} must be true or false")
    return value is True


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
