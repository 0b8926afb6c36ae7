"""The pytest plugin: it is active wherever the SDK is installed with its `testing` extra.

Fixtures: `gateway` opens a gateway in this process,

    async def test_it_denies(gateway):
        async with gateway({"plugins": {"badwords": {"words": ["fudge"]}}}, selection="+badwords") as gw:
            assert (await gw.chat("Fudge!".lower())).status_code == 403

and `fake_http` a provider on a real socket. Both are factories of context managers, so they need no particular async runner.
"""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def gateway() -> Any:
    """`routeiq_sdk.testing.open_gateway`."""
    from .gateway import open_gateway

    return open_gateway


@pytest.fixture
def fake_http() -> Any:
    """`routeiq_sdk.testing.FakeHttp`."""
    from .upstream import FakeHttp

    return FakeHttp
