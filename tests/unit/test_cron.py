"""Cron triggers: registered with a function, or refused with its file and line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate import ConfigurationError, TriggerCron, TriggerEvent
from tidegate.function import Function, make_function
from tidegate.manifest import FunctionManifest, Manifest

NINE = TriggerCron(cron="0 9 * * *")
EVENT = TriggerEvent(event="app/a")


def handler(ctx: Any) -> None:
    """A handler; the line above is what messages must name."""


HERE = f"{Path(__file__)}:{handler.__code__.co_firstlineno}"


def make(*triggers: Any) -> Function:
    trigger = triggers[0] if len(triggers) == 1 else triggers
    return make_function(
        handler, app_id="shop", fn_id="f", trigger=trigger, name=None, retries=None
    )


def deployed(*triggers: Any) -> FunctionManifest:
    [function] = Manifest.of([make(*triggers)]).functions
    return function


def test_a_cron_is_a_trigger_alone_or_in_a_list() -> None:
    assert (make(NINE).triggers, make(NINE).crons) == ((), (NINE,))
    other = TriggerCron(cron="0 10 * * *")
    both = make(NINE, EVENT, other)
    assert (both.triggers, both.crons) == ((EVENT,), (NINE, other))


@pytest.mark.parametrize(
    ("jitter", "ms"),
    [
        (None, 0),
        (1_000, 1_000),
        (timedelta(minutes=5), 300_000),
        (timedelta(seconds=1), 1_000),
        ("90s", 90_000),
        ("1m30s", 90_000),
        ("1500ms", 1_500),
        ("5m", 300_000),
    ],
)
def test_jitter_has_many_forms(jitter: Any, ms: int) -> None:
    [cron] = deployed(TriggerCron(cron="0 9 * * *", jitter=jitter)).crons
    assert cron.jitter_ms == ms


@pytest.mark.parametrize(
    ("triggers", "fault"),
    [
        ([TriggerCron(cron="0 9 * *")], "has 4 fields"),
        ([EVENT, TriggerCron(cron="@daily")], "write five fields"),
        ([TriggerCron(cron="TZ=Nowhere 0 9 * * *")], "no time zone 'Nowhere'"),
        ([TriggerCron(cron=" " * 247 + "0 9 * * *")], "256 characters; at most 255"),
        ([TriggerCron(cron=9)], "cron=9 is no text"),  # type: ignore[arg-type]
        ([TriggerCron(cron=[])], "is no text"),  # type: ignore[arg-type]
        ([NINE, NINE], "listed twice"),
        ([NINE, TriggerCron(cron="0 9 * * *", jitter="5s")], "listed twice"),
        ([TriggerCron(cron=f"{n} 9 * * *") for n in range(11)], "11 triggers; at most 10"),
        ([TriggerCron(cron=f"{n} 9 * * *") for n in range(10)] + [EVENT], "11 triggers"),
        ([TriggerCron(cron="0 9 * * *", jitter=999)], "not between 1 second and 5 minutes"),
        ([TriggerCron(cron="0 9 * * *", jitter=0)], "not between 1 second and 5 minutes"),
        ([TriggerCron(cron="0 9 * * *", jitter=300_001)], "not between 1 second and 5 minutes"),
        ([TriggerCron(cron="0 9 * * *", jitter=timedelta(hours=1))], "jitter="),
        ([TriggerCron(cron="0 9 * * *", jitter="6m")], "jitter='6m' is not between"),
        ([TriggerCron(cron="0 9 * * *", jitter="soon")], "jitter='soon' is no duration; use"),
        ([TriggerCron(cron="0 9 * * *", jitter=True)], "jitter=True is no duration"),
        ([TriggerCron(cron="0 9 * * *", jitter=1.5)], "no duration"),  # type: ignore[arg-type]
    ],
)
def test_every_fault_is_named_with_file_and_line(triggers: list[Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make(*triggers)
    assert str(raised.value).startswith(f"{HERE}: function 'f': ")
    assert fault in str(raised.value)


def test_bounds_are_included() -> None:
    assert len(make(*(TriggerCron(cron=f"{n} 9 * * *") for n in range(10))).crons) == 10
    assert make(TriggerCron(cron=" " * 246 + "0 9 * * *")).crons


def test_the_manifest_says_what_to_schedule_and_survives_a_file(tmp_path: Path) -> None:
    function = make(TriggerCron(cron="TZ=Asia/Tokyo 0 9 13 * FRI", jitter="1m"), EVENT)
    path = tmp_path / "manifest.json"
    Manifest.of([function]).write(path)
    [read] = Manifest.read(path).functions
    [cron] = read.crons
    assert (cron.cron, cron.jitter_ms) == ("TZ=Asia/Tokyo 0 9 13 * FRI", 60_000)
    assert cron.timezone == "Asia/Tokyo"
    assert cron.schedules == ("cron(0 9 13 * ? *)", "cron(0 9 ? * FRI *)")


def test_a_function_that_no_event_starts_gets_what_is_sent_to_it_alone() -> None:
    assert deployed(NINE).filter_policy == {"name": ["@shop-f"]}
    assert deployed(NINE, EVENT).filter_policy == {"name": ["@shop-f", "app/a"]}
