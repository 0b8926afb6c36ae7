"""The models that clients see: the list is each format's codec's own, and so is the one model that a path names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from .harness import KEY, GatewayProcess
from .wall import Wall

NAMES = ("gpt", "meta/llama-3/70b", "openai/anything")
"""A plain name, one with slashes, and one that a wildcard stands for."""


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    params = {"api_base": f"{wall.url}/v1", "api_key": "sk-any"}
    names = {"gpt": "openai/gpt-5", "meta/llama-3/70b": "openai/llama", "openai/*": "openai/*"}
    config = {
        "model_list": [{"model_name": name, "litellm_params": {"model": model, **params}} for name, model in names.items()],
        "general_settings": {"master_key": KEY},
    }
    with GatewayProcess(tmp_path_factory.mktemp("models"), config) as gateway:
        yield gateway


@pytest.mark.parametrize("name", NAMES)
def test_every_client_gets_the_model_that_it_names(gateway: GatewayProcess, name: str) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
        found: Any = client.models.retrieve(name)
        assert (found.id, found.object) == (name, "model")
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        found = client.models.retrieve(name)
        assert (found.id, found.type, found.display_name) == (name, "model", name)
    for version in ("v1beta", "v1"):
        google = genai.Client(api_key=KEY, vertexai=False, http_options=types.HttpOptions(base_url=gateway.url, api_version=version))
        assert google.models.get(model=f"models/{name}").name == f"models/{name}"
    with gateway.client() as plain:
        assert plain.get(f"/models/{name}").json() == plain.get(f"/v1/models/{name.replace('/', '%2F')}").json()


def test_a_model_that_does_not_exist_is_an_error_of_the_clients_format(gateway: GatewayProcess) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client, pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("no/such")
    assert unknown.value.code == "model_not_found" and "no/such" in unknown.value.message
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client, pytest.raises(anthropic.NotFoundError) as missing:
        client.models.retrieve("no/such")
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    google = genai.Client(api_key=KEY, vertexai=False, http_options=types.HttpOptions(base_url=gateway.url))
    with pytest.raises(errors.ClientError) as absent:
        google.models.get(model="models/no/such")
    assert (absent.value.code, absent.value.status) == (404, "NOT_FOUND")


def test_one_model_needs_a_key_too(gateway: GatewayProcess) -> None:
    with gateway.client(key=None) as client:
        assert client.get("/v1/models/gpt").status_code == 401
