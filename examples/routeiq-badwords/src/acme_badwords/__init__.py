"""Refuses requests with blocked words."""

from routeiq_sdk import Manifest

__version__ = "0.1.0"

manifest = Manifest(name="badwords", api="1.0", factory="acme_badwords.plugin:BadWords", config="acme_badwords.plugin:Config")
