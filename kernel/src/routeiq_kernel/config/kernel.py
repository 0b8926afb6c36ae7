"""The kernel's own settings: `kernel:` in the file, with defaults, environment variables and help. Times are in seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from attrs import evolve, field, frozen
from msgspec import Meta
from routeiq_sdk import ConfigError, Secret, setting

from .load import Document
from .strict import BOOLS, structure

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]
Length = Annotated[float, Meta(gt=0)]
BasePath = Annotated[str, Meta(pattern=r"^(/[\w.~-]+)*$")]
Mode = Literal["development", "production"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


@frozen
class Limits:
    max_body_bytes: Positive = setting(32 * 1024 * 1024, help="largest request body; more is a 413")
    max_upload_bytes: Positive = setting(512 * 1024 * 1024, help="largest body that is streamed to a provider, such as a file")
    max_header_bytes: Positive = setting(32 * 1024, help="all request headers together; more is a 431")
    max_headers: Positive = setting(100, help="number of request headers")
    body_timeout_s: Length = setting(60.0, help="a client must have sent its body by then, or the next piece of an upload")
    max_response_bytes: Positive = setting(64 * 1024 * 1024, help="largest whole answer that is kept in memory")


@frozen
class Timeouts:
    connect_s: Length = setting(10.0, help="connection to a provider")
    first_token_s: Length | None = setting(
        None, key="router_settings.stream_timeout", help="first content of a stream; unset: 120, or what a plugin says of the deployment"
    )
    idle_s: Length = setting(30.0, help="silence inside a stream")
    attempt_s: Length = setting(600.0, key="router_settings.timeout litellm_settings.request_timeout", help="one attempt at an answer")
    total_s: Length | None = setting(None, help="all attempts until the first content of the answer; unset: twice attempt_s")
    send_stall_s: Length = setting(60.0, help="a client that stopped reading is cut")
    headers_after_s: Length = setting(15.0, help="without content by then, headers go out and keepalives follow")
    keepalive_s: Length = setting(15.0, help="silence towards the client before a keepalive")

    @property
    def all_s(self) -> float:
        return self.total_s or 2 * self.attempt_s


@frozen
class Tls:
    certfile: Path | None = setting(None, env="SSL_CERTFILE_PATH", help="certificate chain (PEM); serves HTTPS")
    keyfile: Path | None = setting(None, env="SSL_KEYFILE_PATH", help="its private key (PEM)")
    keyfile_password: Secret | None = setting(None, env="ROUTEIQ_SSL_KEYFILE_PASSWORD", help="password of the key")


@frozen
class Cors:
    origins: tuple[str, ...] = setting((), env="ROUTEIQ_CORS_ORIGINS", help='web origins that may call the gateway, or "*"')
    credentials: bool = setting(False, help="whether they may send cookies")


@frozen
class Drain:
    timeout_s: Seconds = setting(30.0, env="ROUTEIQ_DRAIN_TIMEOUT_SECONDS", help="open streams may go on that long after SIGTERM")
    delay_s: Seconds = setting(0.0, env="ROUTEIQ_DRAIN_DELAY_SECONDS", help="readiness is 503 that long before new requests are refused")
    max_graph_age_s: Length = setting(600.0, help="after a reload, requests of the old configuration end by then")


@frozen
class Settings:
    mode: Mode = setting("development", env="ROUTEIQ_MODE", help="production: no generated keys or anonymous access")
    host: str = setting("0.0.0.0", env="LITELLM_HOST", help="address to listen on")
    port: Port = setting(4000, env="LITELLM_PORT", help="port to listen on; 0 takes a free one")
    workers: Positive = setting(1, env="ROUTEIQ_WORKERS", help="worker processes")
    server: Literal["hypercorn", "uvicorn"] = setting("hypercorn", env="ROUTEIQ_SERVER", help="uvicorn is an extra")
    state_dir: Path = setting(Path(".routeiq"), env="ROUTEIQ_STATE_DIR", help="~/.local/state/routeiq if . is read-only")
    base_path: BasePath = setting("", env="ROUTEIQ_BASE_PATH", help="prefix of all paths, such as /llm")
    plugins: str | tuple[str, ...] = setting("@default", env="ROUTEIQ_PLUGINS", help="a,b | +x,-y | @default | @standard | none | all")
    disable: tuple[str, ...] = setting((), env="ROUTEIQ_DISABLE", help="plugins that stay off whatever else says on")
    strict_conversion: bool = setting(
        False, help="refuse a request that its model's provider cannot express in full; `x-routeiq-strict: true` does so for one"
    )
    allow_anonymous: bool = setting(False, help="serve without any authenticator (development mode only)")
    admin_api_keys: tuple[Secret, ...] = setting((), env="ADMIN_API_KEYS ADMIN_API_KEY", help="keys of the admin API; none closes it")
    admin_auth: bool = setting(True, env="ADMIN_AUTH_ENABLED", help="false opens the admin API (development mode only)")
    proxy: str | None = setting(None, env="HTTPS_PROXY https_proxy ALL_PROXY all_proxy", help="proxy for everything that dials out")
    no_proxy: tuple[str, ...] = setting((), env="NO_PROXY no_proxy", help="hosts and domains that are reached without it")
    ca_bundle: Path | None = setting(None, env="SSL_CERT_FILE", help="certificate authorities (PEM) for everything that dials out")
    routing_strategy: str = setting("simple-shuffle", key="router_settings.routing_strategy", help="who gets a request")
    model_group_alias: Mapping[str, Any] = setting(
        {}, key="router_settings.model_group_alias", help="further names: alias: model, or alias: {model: …, hidden: true}"
    )
    max_concurrent_requests: Count = setting(
        0, env="ROUTEIQ_MAX_CONCURRENT_REQUESTS", key="general_settings.global_max_parallel_requests", help="of all workers; 0 is no limit"
    )
    log_level: LogLevel = setting("info", env="ROUTEIQ_LOG_LEVEL LITELLM_LOG", help="LITELLM_DEBUG=true means debug")
    log_format: Literal["json", "text"] = setting("json", env="ROUTEIQ_LOG_FORMAT", help="text is for terminals")
    debug_headers: bool = setting(False, env="ROUTEIQ_DEBUG_HEADERS", help="answers say how they were made")
    send_buffer_bytes: Positive = setting(128 * 1024, help="the kernel's send buffer of each client connection")
    channel_bytes: Positive = setting(64 * 1024, help="what a stream may be ahead of its client")
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    tls: Tls = field(factory=Tls)
    cors: Cors = field(factory=Cors)
    drain: Drain = field(factory=Drain)


def kernel_settings(document: Document) -> Settings:
    """Raises `ConfigError` with all problems."""
    settings = structure(Settings, document.section("kernel"), "kernel", document)
    environ, keys = document.environ, settings.admin_api_keys
    one_key = Secret(environ.get("ADMIN_API_KEY", ""))
    if environ.get("ADMIN_API_KEYS") and one_key and one_key not in keys:
        settings = evolve(settings, admin_api_keys=(*keys, one_key))
    if BOOLS.get(environ.get("LITELLM_DEBUG", "").lower()) and settings.log_level == Settings().log_level:
        settings = evolve(settings, log_level="debug")
    problems = _contradictions(settings, document)
    if problems:
        raise ConfigError(*problems)
    return evolve(settings, state_dir=_state_dir(settings.state_dir, document))


def configured_plugins(document: Document) -> str | list[str]:
    """The selection that `--plugins +x,-y` edits: the layer below the one that is in force."""
    below = [document.section("kernel").get("plugins") or "@default"]
    if "kernel.plugins" in document.flags and document.environ.get("ROUTEIQ_PLUGINS"):
        below.append(document.environ["ROUTEIQ_PLUGINS"])
    return below[-1]


def _contradictions(settings: Settings, document: Document) -> list[str]:
    production = settings.mode == "production"
    rules = {
        "allow_anonymous": (production and settings.allow_anonymous, "not allowed in production mode"),
        "admin_auth": (production and not settings.admin_auth, "cannot be switched off in production mode"),
        "tls.keyfile": (settings.tls.keyfile and not settings.tls.certfile, "needs kernel.tls.certfile as well"),
        "cors.credentials": (settings.cors.credentials and "*" in settings.cors.origins, 'needs named origins, not "*"'),
    }
    return [f"kernel.{name}: {text} ({document.where(f'kernel.{name}')})" for name, (broken, text) in rules.items() if broken]


def _state_dir(path: Path, document: Document) -> Path:
    """Absolute. The default moves to the user's state folder where the working directory cannot be written."""
    here = Path(document.cwd).absolute()
    if path == Settings().state_dir and not (here / path).exists() and not os.access(here, os.W_OK):
        home = document.environ.get("XDG_STATE_HOME") or f"{document.environ.get('HOME') or '~'}/.local/state"
        return Path(home).expanduser() / "routeiq"
    return here / path.expanduser()
