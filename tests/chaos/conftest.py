"""All chosen cells run side by side while their tests wait for them one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .run import Chaos


@pytest.fixture(scope="session")
def chaos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = {cell.id: cell for each in params for cell in each.get("cells", ())}
    with Chaos(tmp_path_factory.mktemp("chaos"), asked.values()) as chaos:
        yield chaos
