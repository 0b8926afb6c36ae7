"""The judge of the benchmark, on figures made by hand."""

from __future__ import annotations

from typing import Any

from .limits import Run, table, verdicts

STREAM = {"chunk_us": 10.0}
GOOD: dict[str, Any] = {
    "bare": [
        {
            "ready_s": 1.0,
            "S1-c16": {"cpu_us": 100.0},
            "S2-c16": STREAM,
            "S3-50": STREAM,
            "S4": {"cpu_us": 900.0},
            "S5": {"close_ms": {"max": 3.0}},
        }
    ],
    "routeiq": [
        {
            "ready_s": 1.2,
            "idle_mb": 90.0,
            "S1-c16": {"cpu_us": 110.0},
            "S2-c16": STREAM,
            "S3-50": STREAM,
            "S3-500": {"errors": {}},
            "S4": {"cpu_us": 900.0},
            "S5": {"closed": 20, "close_ms": {"max": 40.0}},
            "live": {"live_ms": {"p99": 30.0}},
        }
    ],
    "routeiq-events": [{"S2-c16": {"chunk_us": 15.0}, "S3-50": {"chunk_us": 15.0}}],
    "routeiq-cross": [{"S1-c16": {"cpu_us": 190.0}, "S2-c16": {"chunk_us": 20.0}, "S3-50": {"chunk_us": 20.0}}],
    "routeiq-uvicorn": [{"S1-c16": {"cpu_us": 80.0}}],
    "litellm": [{"S1-c16": {"cpu_us": 5000.0}}],
}
EXTRA = {"twenty_plugins_us": 30.0, "plugins_list_s": 0.1, "convert_ms": 11.0, "openai→gemini": 11.0}


def failed(rounds: Any, extra: Any = EXTRA) -> list[str]:
    return [verdict.what for verdict in verdicts(Run(rounds, extra)) if not verdict.passed]


def test_good_figures_keep_every_limit() -> None:
    assert failed(GOOD) == []


def test_the_best_round_counts_for_cpu() -> None:
    noisy = {**GOOD, "routeiq": [*GOOD["routeiq"], {**GOOD["routeiq"][0], "S1-c16": {"cpu_us": 900.0}}]}
    assert failed(noisy) == []


def test_errors_of_any_round_count() -> None:
    cut = {**GOOD, "routeiq": [*GOOD["routeiq"], {**GOOD["routeiq"][0], "S3-500": {"errors": {"short": 1}}}]}
    assert failed(cut) == ["S3-500 errors"]


def test_one_connection_left_open_in_one_round_fails() -> None:
    leaky = {**GOOD, "routeiq": [*GOOD["routeiq"], {**GOOD["routeiq"][0], "S5": {"closed": 19, "close_ms": {"max": 40.0}}}]}
    assert failed(leaky) == ["S5 upstreams closed, of 20"]


def test_a_figure_that_was_not_measured_fails_and_is_named() -> None:
    rounds = {name: entries for name, entries in GOOD.items() if name != "litellm"}
    missing = [verdict for verdict in verdicts(Run(rounds, EXTRA)) if not verdict.passed]
    assert [verdict.measured for verdict in missing] == ["litellm has no S1-c16.cpu_us"]


def test_the_table_shows_limit_and_figure_of_every_verdict() -> None:
    text = table(verdicts(Run(GOOD, {**EXTRA, "twenty_plugins_us": 41.0})))
    assert "FAIL" in text and "≤ 40" in text and "41" in text


def test_a_plugins_cost_is_the_median_of_ten_pairs_or_more() -> None:
    def pairs(count: int, ratio: float) -> dict[str, Any]:
        plain = [{"S1-c16": {"cpu_us": 100.0 + each}, "S2-c16": {"chunk_us": 10.0 + each}} for each in range(count)]
        ours = [{key: {name: value * ratio for name, value in entry.items()} for key, entry in each.items()} for each in plain]
        return {**GOOD, "routeiq": [*ours, *GOOD["routeiq"]], "routeiq-plain": plain}

    assert failed(pairs(10, 1.02)) == []
    assert [each.partition(",")[0] for each in failed(pairs(10, 1.04))] == ["S2-c16 CPU per chunk"]
    assert len(failed(pairs(9, 1.0))) == 2
    ratios = [0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8]
    run = Run({"a": [{"cpu_us": ratio} for ratio in ratios], "b": [{"cpu_us": 1.0}] * 10}, {})
    assert run.paired("a", "b", "cpu_us") == (1.35, 1.0, 1.7), "the 2nd and the 9th of ten hold at least 95 % (97.9 %)"
