"""Where a deployment's requests go: base URL and path, joined.

A base that names the endpoint itself loses that ending. A codec's path may begin with the family's version (`/v1`); a base that
ends in a version takes the path without it; for OpenAI's family so does every base with a path, as LiteLLM uses it as it is given;
any other base gets the version. Azure puts the deployment into the path, Vertex AI the project.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from attrs import frozen
from routeiq_sdk import Deployment

from .table import Family, Row

VERSION = re.compile(r"/v\d+\w*$")
LEADING = re.compile(r"/v\d+\w*(?=/)")
BESIDE = re.compile(r"/(?:ws/google\.|upload/v\d)")
"""What Google serves beside its versions."""
AZURE_VERSION = "2024-10-21"
PER_MODEL = ("/chat/", "/completions", "/embeddings", "/images/", "/audio/")
"""Paths that Azure serves under the name of the deployment."""


@frozen
class Address:
    """`model_root`, where given, takes the paths of `PER_MODEL`; one that ends in `/` wants its name. `query` is added to every URL."""

    root: str
    model_root: str = ""
    query: str = ""

    def url(self, path: str, query: str, model: str = "") -> str:
        plain, _, own = (LEADING.sub("", path, count=1) if "/v" in path else path).partition("?")
        root = self.root
        if BESIDE.match(path):
            plain, root = path.partition("?")[0], VERSION.sub("", root)
        if self.model_root and plain.startswith(PER_MODEL):
            root = self.model_root + quote(model, safe="") if self.model_root.endswith("/") else self.model_root
        asked = "&".join([part for part in (own, query, self.query) if part])
        return f"{root}{plain}?{asked}" if asked else root + plain


def address(row: Row, family: Family, deployment: Deployment, problems: list[str]) -> Address:
    base = (deployment.api_base or row.base or "").rstrip("/")
    if not base:
        problems.append("it has no api_base; set litellm_params.api_base to the address of the server")
        return Address("")
    parts = _split(base)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        problems.append("its api_base must be http(s)://host[:port][/path], without credentials, query or fragment")
        return Address("")
    if row.name in SPECIAL:
        return SPECIAL[row.name](base, deployment.model, deployment.params)
    root = next((base.removesuffix(ending) for ending in family.endpoints if base.endswith(ending)), base)
    whole = bool(VERSION.search(root)) or not row.versioned or (row.family == "openai" and bool(parts.path))
    return Address(root if whole else root + family.version)


def _azure(base: str, model: str, params: Any) -> Address:
    """`https://NAME.openai.azure.com`; a base with `/openai/v1` or another path is used as it is given."""
    version = str(params.get("api_version") or AZURE_VERSION)
    if "/openai/deployments/" in base:
        return Address(base.partition("/chat/")[0], query=f"api-version={quote(version)}")
    if urlsplit(base).path not in ("", "/openai"):
        return Address(base, query=f"api-version={quote(version)}" if params.get("api_version") else "")
    root = base.removesuffix("/openai") + "/openai"
    name = "" if "*" in model else quote(model, safe="")
    return Address(root, f"{root}/deployments/{name}", f"api-version={quote(version)}")


def _vertex(base: str, model: str, params: Any) -> Address:
    """With a project, the regional endpoint; else that of an API key."""
    project, location = params.get("vertex_project"), str(params.get("vertex_location") or "global")
    if not project:
        return Address(f"{base}/v1/publishers/google")
    host = base.replace("://aiplatform.", f"://{location}-aiplatform.") if location != "global" else base
    return Address(f"{host}/v1/projects/{quote(str(project), safe='')}/locations/{quote(location, safe='')}/publishers/google")


SPECIAL: dict[str, Callable[[str, str, Any], Address]] = {"azure": _azure, "vertex_ai": _vertex}


def _split(base: str) -> SplitResult | None:
    try:
        parts = urlsplit(base)
        return parts if parts.port != 0 and base.isprintable() and not set(" @?#") & set(base) else None
    except ValueError:
        return None
