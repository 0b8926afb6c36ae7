"""Async tests of the whole project run on asyncio; anyio's pytest plugin runs them. Property tests try the same examples in
every run; `HYPOTHESIS_PROFILE=fuzz` tries many new ones."""

import os

import pytest
from hypothesis import settings

settings.register_profile("default", max_examples=300, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
