"""Sixteen faults and those of the network, two dialects, streamed and whole: what the wall saw and what the client got."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import eventually, run_kernel

from .agreement import disagreements
from .conduct import SLACK_S, jittered, listed
from .run import BODY_S, DIALECTS, MODES, Cell, Chaos, cells, config
from .table import BOMB, CONTROL, LORIS, NETWORK, SCALE, TABLE

GROUPS = [
    pytest.param(found, id=f"{row.number:02d} {row.fault}-{dialect}-{mode}")
    for row in (CONTROL, *TABLE, *NETWORK)
    for dialect in DIALECTS
    for mode in MODES
    if (found := [cell for cell in cells([row]) if (cell.dialect, cell.mode) == (dialect, mode)])
]
RETRIED = [cell for cell in cells() if cell.row.number in (2, 4)]


@pytest.mark.parametrize("cells", GROUPS)
def test_the_fault_is_met_as_the_table_says(chaos: Chaos, cells: list[Cell], record_property: Callable[[str, object], None]) -> None:
    record_property("row", f"{cells[0].row.number:02d} {cells[0].row.fault}")
    record_property("column", f"{cells[0].dialect} {cells[0].mode}")
    wrong = [line for cell in cells for line in listed(cell.id, cell.case.check(chaos.seen(cell)))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("cells", GROUPS)
def test_client_record_headers_and_wall_agree(chaos: Chaos, cells: list[Cell]) -> None:
    wrong = [line for cell in cells for line in listed(cell.id, disagreements(chaos.seen(cell)))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("cells", [pytest.param(RETRIED, id="429 and 503")])
def test_no_two_requests_wait_alike(chaos: Chaos, cells: list[Cell]) -> None:
    """The jitter, over independent requests."""
    primaries = [chaos.seen(cell).of("primary") for cell in cells]
    assert list(jittered([asked[1].at_s - asked[0].at_s for asked in primaries if len(asked) > 1])) == []


@pytest.mark.parametrize("cells", [pytest.param(cells([BOMB]), id="")])
def test_a_gzip_bomb_costs_no_memory(chaos: Chaos, cells: list[Cell]) -> None:
    assert all(chaos.seen(cell).asked for cell in cells)
    assert chaos.peak_mb("plain") < 512  # four at a time, of which 64 MB each are read


@pytest.mark.parametrize("cells", [pytest.param(cells([LORIS]), id="")])
def test_slow_loris_clients_are_cut(chaos: Chaos, cells: list[Cell]) -> None:
    """Inside the body by `body_timeout_s`, inside the head by the server, 75 s after they connected: too long but for a full run."""
    assert all(answer.is_whole for cell in cells for answer in chaos.seen(cell).answers)
    eventually(lambda: chaos.loris.left("body") == 0, BODY_S * SCALE + SLACK_S, "the end of those that are slow in the body")
    if SCALE == 1:
        eventually(lambda: chaos.loris.left("head") == 0, 75 + SLACK_S, "the end of those that are slow in the head")


def test_a_plain_file_waits_30_s_for_a_stream_that_stalls(tmp_path: Path) -> None:
    """The limit that the suite cuts short."""
    (tmp_path / "config.yaml").write_text(json.dumps(config("plain", [], "", "")))
    told = run_kernel(tmp_path, "config", "explain", "kernel.timeouts.idle_s", "--config", "config.yaml")
    assert "30" in told.stdout, told
