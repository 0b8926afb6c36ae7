"""Runs cases side by side: one wall, one gateway per configuration, and a deployment of each role for every case."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from attrs import frozen

from tests.integration.harness import KEY, GatewayProcess, eventually
from tests.integration.plugins import plugin, plugin_folder

from .client import ask
from .conduct import Answer, Seen
from .loris import Loris
from .table import FIRST_S, IDLE_S, SCALE, TABLE, TIMEOUT_S, Case, Row
from .untrusted import untrusted
from .wall import Wall

DIALECTS, MODES = ("openai", "anthropic"), ("stream", "whole")
PRICES = {"primary": (1e-06, 2e-06), "backup": (3e-06, 5e-06)}
"""USD per prompt and completion token."""
BODY_S, COOLDOWN_S, LONGEST_COOLDOWN_S = 60.0, 2.0, 10.0
"""The gateway's defaults."""
MAD_CLOCK = """
import time
from time import monotonic, time as true
time.time = lambda: true() + (86400 if int(monotonic() / 0.3) % 2 else -86400)
"""
"""`sitecustomize.py` of a gateway whose wall clock jumps by two days, three times a second."""
LORISES, RECORD_S = 30, 2.0
LANES = 12 if SCALE < 1 else 30
"""Cases that run at the same time: they wait more than they work."""
OBSERVER = plugin(
    "observer",
    """
    @hookimpl
    async def on_complete(self, outcome, rc):
        def used(usage):
            return usage and [usage.input, usage.output]
        told = {
            "status": outcome.status, "path": outcome.path, "dropped": outcome.dropped_events, "bytes": outcome.bytes_out,
            "error": outcome.error and outcome.error.message, "usage": used(outcome.usage), "cost": outcome.cost and str(outcome.cost),
            "estimated": bool(outcome.usage and outcome.usage.estimated),
            "model": outcome.deployment and outcome.deployment.model, "deployment": outcome.deployment and outcome.deployment.id,
            "group": outcome.model,
            "marked": bool(outcome.cost and outcome.cost.estimated),
            "attempts": [{"model": each.deployment.model, "outcome": each.outcome, "begun": bool(each.first_token_s),
                          "usage": used(each.usage), "cost": each.cost and str(each.cost),
                          "error": each.error and each.error.message} for each in outcome.attempts],
        }
        print("OBSERVED", rc.request_id, json.dumps(told), flush=True)
""",
    imports="import json",
)


@frozen
class Cell:
    row: Row
    case: Case
    dialect: str
    mode: str

    @property
    def id(self) -> str:
        """Also the name of its model group and the path of its deployments."""
        return "-".join(filter(None, (f"{self.row.number:02d}", self.case.name, self.dialect, self.mode)))


def cells(rows: Iterable[Row] = TABLE) -> list[Cell]:
    return [
        Cell(row, case, dialect, mode) for row in rows for case in row.cases for dialect in DIALECTS for mode in MODES if mode in case.modes
    ]


def config(name: str, chosen: Iterable[Cell], url: str, untrusted: str) -> dict[str, Any]:
    """A plain file; where times are cut, the limits that they are measured against are cut too."""
    chosen = list(chosen)
    models = [_entry(cell, role, url, untrusted) for cell in chosen for role in PRICES]
    router: dict[str, Any] = {"num_retries": 2, "timeout": TIMEOUT_S, "fallbacks": [{cell.id: [f"{cell.id}-backup"]} for cell in chosen]}
    made: dict[str, Any] = {"model_list": models, "router_settings": router, "general_settings": {"master_key": KEY}}
    if SCALE < 1 and name in ("hasty", "jumping"):
        router |= {"timeout": TIMEOUT_S * SCALE, "stream_timeout": FIRST_S * SCALE}
        made["kernel"] = {"timeouts": {"idle_s": IDLE_S * SCALE}}
    if SCALE < 1 and name == "loris":
        made["kernel"] = {"limits": {"body_timeout_s": BODY_S * SCALE}}
    if SCALE < 1 and name in ("flapping", "jumping"):
        router["cooldown_time"] = COOLDOWN_S * SCALE
        made["plugins"] = {"resilience": {"max_cooldown_s": LONGEST_COOLDOWN_S * SCALE}}
    return made


def _entry(cell: Cell, role: str, url: str, untrusted: str) -> dict[str, Any]:
    if role == "primary" and cell.case.address:
        url = cell.case.address.format(untrusted=untrusted)
    paid, asked = PRICES[role], f"{url}/{cell.id}" + ("/v1" if cell.dialect == "openai" else "")
    params = {"model": f"{cell.dialect}/{role}-real", "api_base": asked, "api_key": f"sk-of-the-{role}"}
    prices = dict(zip(("input_cost_per_token", "output_cost_per_token"), paid, strict=True))
    return {"model_name": cell.id if role == "primary" else f"{cell.id}-backup", "litellm_params": params | prices}


class Chaos:
    """`with Chaos(folder, cells) as chaos`: all cells begin at once, the long ones first; `chaos.seen(cell)` waits for one."""

    def __init__(self, folder: Path, chosen: Iterable[Cell]) -> None:
        self._folder, self._chosen = folder, sorted(chosen, key=lambda cell: (-cell.case.requests, cell.case.config))
        self._stack = ExitStack()
        self.loris: Loris
        self._runs: dict[str, Future[tuple[Answer, ...]]] = {}
        self._seen: dict[str, Seen] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._wall = stack.enter_context(Wall())
            self._untrusted = stack.enter_context(untrusted())
            lanes = stack.enter_context(ThreadPoolExecutor(LANES, "case"))
            for cell in self._chosen:
                self._wall.script |= {(cell.id, "primary-real"): cell.case.primary, (cell.id, "backup-real"): cell.case.backup}
            names = dict.fromkeys(cell.case.config for cell in self._chosen)
            self._gateways = {name: stack.enter_context(self._gateway(name)) for name in names}
            if "loris" in self._gateways:
                self.loris = stack.enter_context(Loris(self._gateways["loris"].port, LORISES))
            self._runs = {cell.id: lanes.submit(self._run, cell) for cell in self._chosen}
            stack.callback(lanes.shutdown, cancel_futures=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, where)

    def seen(self, cell: Cell) -> Seen:
        if cell.id not in self._seen:
            answers, gateway = self._runs[cell.id].result(), self._gateways[cell.case.config]
            asked = [each for role in PRICES for each in self._wall.asked(cell.id, role)]
            records = tuple(record(gateway, each) for each in answers)
            self._seen[cell.id] = Seen(tuple(sorted(asked, key=lambda each: each.at_s)), answers, records)
        return self._seen[cell.id]

    def peak_mb(self, name: str) -> float:
        """The most memory that a worker of that gateway ever had."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in self._gateways[name].workers()]
        return max(int(line.split()[1]) for each in status for line in each.splitlines() if line.startswith("VmHWM")) / 1024

    def _gateway(self, name: str) -> GatewayProcess:
        folder = self._folder / name
        folder.mkdir()
        made = config(name, [cell for cell in self._chosen if cell.case.config == name], self._wall.url, self._untrusted)
        env = plugin_folder(folder, observer=OBSERVER) | {"ROUTEIQ_PLUGINS": "+observer"}
        if name == "jumping":
            (folder / "site" / "sitecustomize.py").write_text(MAD_CLOCK)
        return GatewayProcess(folder, made, env=env)

    def _run(self, cell: Cell) -> tuple[Answer, ...]:
        gateway, case = self._gateways[cell.case.config], cell.case
        with ThreadPoolExecutor(case.requests, cell.id) as clients:
            asking = []
            for _ in range(case.requests):
                asking.append(clients.submit(ask, gateway.url, cell.dialect, cell.mode == "stream", cell.id))
                time.sleep(case.every_s * SCALE if case.requests > 1 else 0)
            return tuple(each.result() for each in asking)


def record(gateway: GatewayProcess, answer: Answer) -> dict[str, Any]:
    """What the gateway's own plugins learn of a request."""
    mark = f"OBSERVED {answer.headers['x-request-id']} "

    def find() -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(gateway.logs().partition(mark)[2].partition("\n")[0]))

    return eventually(find, RECORD_S, "the outcome")
