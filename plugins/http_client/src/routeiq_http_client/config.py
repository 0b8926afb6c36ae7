"""Settings of the connections to providers. Deadlines of answers are the kernel's, not ours."""

from __future__ import annotations

import ssl
from pathlib import Path

from attrs import frozen
from attrs.validators import ge, gt, optional
from routeiq_sdk import ConfigError, setting


def _is_http(_config: Config, _field: object, value: str | None) -> None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("expected http://host:port or https://host:port")


@frozen
class Config:
    proxy: str | None = setting(
        None,
        env="HTTPS_PROXY https_proxy ALL_PROXY all_proxy",
        key="kernel.proxy",
        help="HTTP proxy for every upstream but loopback addresses and no_proxy",
        validator=_is_http,
    )
    no_proxy: tuple[str, ...] = setting(
        (), env="NO_PROXY no_proxy", key="kernel.no_proxy", help="hosts and domains reached without it; * is all"
    )
    ca_bundle: Path | None = setting(
        None, env="SSL_CERT_FILE", key="kernel.ca_bundle", help="certificate authorities (PEM) instead of the system's"
    )
    tls_verify: bool = setting(True, env="SSL_VERIFY", key="litellm_settings.ssl_verify", help="false accepts any certificate")
    max_connections: int = setting(0, env="HTTP_CLIENT_MAX_CONNECTIONS", help="open connections per upstream; 0: no limit", validator=ge(0))
    max_keepalive: int | None = setting(
        None, env="HTTP_CLIENT_MAX_KEEPALIVE", help="idle connections kept per upstream; unset is no limit", validator=optional(ge(0))
    )
    max_connect_s: float = setting(
        60.0, env="HTTP_CLIENT_DEFAULT_TIMEOUT", help="longest that connecting may take, whatever the caller allows", validator=gt(0)
    )
    keepalive_s: float = setting(15.0, help="an idle connection is closed after that", validator=gt(0))
    dns_cache_s: int = setting(60, help="how long addresses are remembered", validator=ge(0))


def ssl_context(config: Config) -> ssl.SSLContext | bool:
    """What aiohttp takes as `ssl`. Raises `ConfigError` for a bundle that cannot be read."""
    bundle = config.ca_bundle
    if bundle is None or not config.tls_verify:
        return config.tls_verify
    try:
        return ssl.create_default_context(capath=str(bundle)) if bundle.is_dir() else ssl.create_default_context(cafile=str(bundle))
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise ConfigError(
            f"plugins.http_client.ca_bundle: {bundle} cannot be used: {reason}; name a PEM file of certificate authorities"
        ) from None
