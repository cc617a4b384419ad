from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench import __main__ as command
from bench.figure import Figure

FIGURES = [
    Figure("quick", 1.5, "ms", 2),
    Figure("slow", 3, "ms", 2, floor=1.25),
    Figure("many", 5, "runs/s", 5, is_at_most=False),
    Figure("few", 4, "runs/s", 5, is_at_most=False),
    Figure("plain", 7, "ms"),
]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    part = ModuleType("bench_part")
    part.measure = lambda: iter(FIGURES)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench_part", part)
    monkeypatch.setattr(command, "PARTS", {"part": "bench_part", "gone": "bench.gone"})
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    return tmp_path / "results.json"


def test_a_part_prints_and_writes_its_figures(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["part"]) == 0
    printed = capsys.readouterr().out
    assert "slow" in printed
    assert "2 goals not reached" in printed
    written = json.loads(results.read_text())
    assert written[1] == {
        "name": "slow",
        "value": 3,
        "unit": "ms",
        "goal": 2,
        "met": False,
        "floor": 1.25,
    }
    assert [figure["met"] for figure in written] == [True, False, True, False, None]


def test_a_part_that_cannot_be_imported_is_an_error(results: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"bench\.gone"):
        command.main([])
    assert not results.exists()


def test_an_unknown_part_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nothing"]) == 2
    assert "there is no part 'nothing'; there are part, gone" in capsys.readouterr().err
    assert not results.exists()
