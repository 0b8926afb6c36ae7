"""Who may use the gateway: whoever sends the master key.

`x-litellm-api-key` alone decides where it is present; then `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`; without any of
these, `key` in the query, as Google's clients may send it. Every header in which the master key stands counts as consumed, so that it
cannot reach a provider as the client's own credential; the query's `key` is never forwarded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hmac import compare_digest
from secrets import token_bytes
from urllib.parse import parse_qsl

from attrs import frozen
from routeiq_sdk import ConfigError, PluginContext, Principal, Reject, RequestContext, Secret, hookimpl, setting
from routeiq_sdk.wire import Headers

from .keyfile import load_or_create

OWN, BEARER, API_KEY, GOOGLE_KEY = b"x-litellm-api-key", b"authorization", b"x-api-key", b"x-goog-api-key"
PLAIN = frozenset((API_KEY, GOOGLE_KEY))
SHARED = PLAIN | {BEARER}
CREDENTIALS = {name: name.decode() for name in (OWN, BEARER, API_KEY, GOOGLE_KEY, b"api-key")}
WHERE = "set general_settings.master_key or LITELLM_MASTER_KEY"
FIRST_REQUEST = (
    "curl {url}/v1/chat/completions -H 'Authorization: Bearer %s' -H 'content-type: application/json' "
    """-d '{"model":"%s","messages":[{"role":"user","content":"Hello"}]}'"""
)


@frozen
class Config:
    master_key: Secret | None = setting(
        None, env="LITELLM_MASTER_KEY", key="general_settings.master_key", help="unset in development mode: one is made and kept"
    )

    def __attrs_post_init__(self) -> None:
        if self.master_key is not None and not self.master_key.reveal().strip():
            raise ConfigError(f"plugins.auth_keys.master_key is empty; {WHERE}, or remove it")


class AuthKeys:
    def __init__(self, config: Config) -> None:
        self._configured = config.master_key is not None
        self._key = config.master_key.reveal().encode() if config.master_key else token_bytes(32)
        """Never empty, so that an empty credential equals no key."""

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        if not self._configured:
            if ctx.mode == "production":
                raise ConfigError(f"auth_keys: production mode needs a master key; {WHERE}")
            key = load_or_create(ctx.state_dir / "master_key")
            self._key = key.encode()
            model = next((each.group for each in ctx.deployments if "*" not in each.group), "MODEL")
            ctx.announce(FIRST_REQUEST % (key, model))
        else:
            ctx.announce("key      the configured master key, as Authorization: Bearer or x-api-key")
        yield

    @hookimpl
    async def authenticate(self, headers: Headers, rc: RequestContext) -> Principal | Reject | None:
        given = [pair for pair in headers.raw if pair[0] in CREDENTIALS]
        found = dict(given)
        if len(found) < len(given):
            twice = next(name for name, _ in given if sum(name == other for other, _ in given) > 1)
            return Reject(f"The header {CREDENTIALS[twice]} was sent more than once.")
        judged = self._judge(found) if found else None
        return self._judge_query(rc.query, found) if judged is None and "key=" in rc.query else judged

    def _master(self, found: dict[bytes, bytes]) -> Principal:
        return Principal(id="master", kind="master", consumed=tuple([CREDENTIALS[name] for name in found if self._key in found[name]]))

    def _judge(self, found: dict[bytes, bytes]) -> Principal | Reject | None:
        key = self._key
        holding = [name for name, value in found.items() if compare_digest(_credential(name, value), key)]
        if OWN in holding if OWN in found else not SHARED.isdisjoint(holding):
            return self._master(found)
        return Reject() if OWN in found or not PLAIN.isdisjoint(found) or _has_bearer(found) else None

    def _judge_query(self, query: str, found: dict[bytes, bytes]) -> Principal | Reject | None:
        given = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "key"]
        if len(given) > 1:
            return Reject("The query parameter key was sent more than once.")
        if not given:
            return None
        return self._master(found) if compare_digest(given[0].encode("utf-8", "replace"), self._key) else Reject()


def _credential(name: bytes, value: bytes) -> bytes:
    """The token of a Bearer header; our own header may do without the scheme."""
    if name in (BEARER, OWN):
        if value[:7].lower() == b"bearer ":
            return value[7:].strip()
        return value if name == OWN else b""
    return value


def _has_bearer(found: dict[bytes, bytes]) -> bool:
    return found.get(BEARER, b"")[:7].lower() == b"bearer "
