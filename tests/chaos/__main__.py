"""Runs the suite and prints the scorecard: sixteen faults, two dialects, streamed and whole. Exit status 1 when a cell fails.

`CHAOS_FULL=1` runs the long faults in their real times, behind a plain configuration. Arguments go to pytest.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest


class Card:
    """A pytest plugin that keeps what became of each test."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, bool]] = {}
        self.others: dict[str, Counter[bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        told = dict(report.user_properties)
        if "row" in told:
            self.rows.setdefault(told["row"], {})[told["column"]] = report.passed
        else:
            name = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
            self.others.setdefault(name, Counter())[report.passed] += 1

    def lines(self) -> list[str]:
        columns = list(dict.fromkeys(column for cells in self.rows.values() for column in cells))
        width = max(map(len, self.rows), default=0) + 3
        found = ["".join(["".ljust(width), *(column.ljust(20) for column in columns)])]
        for row, cells in self.rows.items():
            marks = [{True: "pass", False: "FAIL", None: "exempt"}[cells.get(column)] for column in columns]
            found.append("".join([row.ljust(width), *(mark.ljust(20) for mark in marks)]).rstrip())
        kept = sum(all(cells.values()) for row, cells in self.rows.items())
        found += ["", f"{kept} of {len(self.rows)} rows pass in every column", ""]
        return found + [f"{count[True]:3} of {count.total():3}  {name}" for name, count in self.others.items()]


def main(args: list[str]) -> int:
    card = Card()
    status = pytest.main(["-q", "--tb=short", "--show-capture=no", str(Path(__file__).parent), *args], plugins=[card])
    print("", *card.lines(), sep="\n")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
