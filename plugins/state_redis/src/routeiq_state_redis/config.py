"""Where the server is, and how long it is waited for."""

from __future__ import annotations

from attrs import frozen
from attrs.validators import and_, ge, gt, le
from routeiq_sdk import ConfigError, Secret, setting

LONGEST_S = 1.5
"""The kernel calls a readiness check of 2 s failing, and a server that is away only degrades the gateway."""


@frozen
class Config:
    url: Secret | None = setting(
        None, env="REDIS_URL", key="router_settings.redis_url", help="`redis://`, `rediss://` or `unix://`; instead of host to ssl"
    )
    host: str = setting("localhost", env="REDIS_HOST", key="router_settings.redis_host", help="the server's name or address")
    port: int = setting(
        6379, env="REDIS_PORT", key="router_settings.redis_port", help="the server's port", validator=and_(ge(1), le(65535))
    )
    username: str | None = setting(None, env="REDIS_USERNAME", help="an ACL user; without it the password is the default user's")
    password: Secret | None = setting(None, env="REDIS_PASSWORD", key="router_settings.redis_password", help="the user's password")
    db: int = setting(0, env="REDIS_DB", key="router_settings.redis_db", help="the number of the database", validator=ge(0))
    ssl: bool = setting(False, env="REDIS_SSL", help="speak TLS; the server's certificate and name are verified")
    ssl_ca_certs: str | None = setting(None, env="REDIS_SSL_CA_CERTS", help="PEM file of the authorities to trust instead of the system's")
    prefix: str = setting("routeiq:", help="begins every key and channel; gateways with the same one share their state")
    timeout_s: float = setting(0.5, help="limit for one call, connecting included; at most 1.5", validator=and_(gt(0), le(LONGEST_S)))
    max_connections: int = setting(50, help="connections of one worker; further calls wait for one", validator=ge(2))
    failures: int = setting(5, help="failed calls in a row after which calls fail at once", validator=ge(1))
    rest_s: float = setting(3.0, help="how long they do, before one call tries whether the server is back", validator=gt(0))

    def __attrs_post_init__(self) -> None:
        if self.ssl_ca_certs and not self.ssl:
            raise ConfigError("plugins.state_redis.ssl_ca_certs: it has no effect without ssl: true")
