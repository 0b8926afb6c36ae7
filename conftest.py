"""Async tests of the whole project run on asyncio; anyio's pytest plugin runs them."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
