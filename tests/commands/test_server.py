"""What can be done to a server, the dev server or a deployment: the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.commands.conftest import Ran, Server
from tidegate.clock import Clock
from tidegate.commands.following import GRACE_MS


def started(server: Server, *arguments: str) -> str:
    """The id of the run that an event started and whose end was waited for."""
    found = server.run("send", *arguments, "--wait", "--json")
    [run] = json.loads(found.out)["runs"]
    return str(run["run_id"])


def eventually(clock: Clock, condition: Callable[[], Any]) -> Any:
    """What is true in the end."""
    for _ in range(3_000):
        if found := condition():
            return found
        clock.sleep(0.02)
    raise AssertionError("it did not happen")


def begun(server: Server, name: str) -> str:
    """The id of the run that an event started, once it sleeps."""
    event_id = server.run("send", name).out.strip()

    def sleeping() -> Any:
        runs = server.run("events", "show", event_id, "--json").json["runs"]
        return runs and runs[0].get("next_attempt_at") and runs[0]["run_id"]

    return str(eventually(server.run.clock, sleeping))


def has_status(server: Server, run_id: str, status: str) -> bool:
    return server.run("runs", "show", run_id, "--json").json["status"] == status


def test_sending_and_waiting_shows_what_came_of_it(server: Server) -> None:
    ran = server.run("send", "app/hello", "--data", '{"name": "Ada"}', "--wait")
    assert (ran.code, ran.err) == (0, "")
    [event_id, head, row] = ran.lines
    assert head.split() == ["RUN", "STATUS", "TOOK", "FUNCTION", "OUTPUT"]
    assert "Completed" in row
    assert row.endswith('shop-greet  "hello, Ada"')
    shown = server.run("events", "show", event_id, "--json").json
    assert (shown["name"], shown["data"]) == ("app/hello", {"name": "Ada"})
    assert [run["run_id"] for run in shown["runs"]] == [row.split()[0]]
    text = server.run("events", "show", event_id).out
    assert '"name": "Ada"' in text
    assert row.split()[0] in text


def test_a_run_that_fails_is_a_failure_of_who_waits(server: Server) -> None:
    ran = server.run("send", "app/order", "--wait")
    assert ran.code == 1
    assert "Failed" in ran.out
    assert "card declined" in ran.out
    assert ran.error.startswith("1 of 1 runs did not complete: ")


def test_a_run_is_shown_with_its_timeline_and_steps(server: Server) -> None:
    run_id = started(server, "app/order")
    text = server.run("runs", "show", run_id).out
    for part in (run_id, "shop-pay", "Failed after", "app/order", "card declined", "Traceback"):
        assert part in text
    timeline = text.partition("Timeline")[2].partition("Steps")[0].splitlines()
    kinds = [line.split()[:2] for line in timeline[2:] if line.strip()]
    assert kinds == [["queue", "app/order"], ["step", "book"], ["step", "charge"]]
    assert '→ "booked"' in text
    shown = server.run("runs", "show", run_id, "--json").json
    assert [step["name"] for step in shown["steps"]] == ["book", "charge"]
    assert shown["timeline"]["run_id"] == shown["run_id"] == run_id


def test_lists_are_filtered_and_of_any_length(server: Server) -> None:
    failed = started(server, "app/order")
    completed = [started(server, "app/hello", "--data", f'{{"name": "{n}"}}') for n in range(3)]

    def listed(*arguments: str) -> list[str]:
        return [run["run_id"] for run in server.run("runs", *arguments, "--json").json]

    assert listed() == listed("list", "--all") == [*reversed(completed), failed]
    assert listed("--limit", "2") == [completed[2], completed[1]]
    assert listed("--status", "Failed,Cancelled") == [failed]
    assert listed("--function", "shop-pay") == listed("--event", "app/order") == [failed]
    assert listed("--until", "1h") == []
    names = [event["name"] for event in server.run("events", "--json").json]
    assert names == ["app/hello"] * 3 + ["app/order"]
    found = server.run("events", "list", "--name", "app/order", "--from", "30m", "--json").json
    assert len(found) == 1
    rows = server.run("runs", "--status", "Failed").lines
    assert rows[0].split()[:2] == ["RUN", "STATUS"]
    assert rows[1].split()[:2] == [failed, "Failed"]
    assert rows[1].endswith("card declined")
    assert server.run("events", "--name", "app/nothing") == Ran(0, "", "none\n")


def test_a_sleeping_run_is_cancelled(server: Server) -> None:
    run_id = begun(server, "app/tired")
    text = server.run("runs", "show", run_id).out
    assert "▶" in text, "the sleep goes on"
    assert server.run("runs", "cancel", run_id, "--json").json[0]["run_id"] == run_id
    eventually(server.run.clock, lambda: has_status(server, run_id, "Cancelled"))
    # Cancelling twice is harmless, and one that is not there does not keep others from it.
    again = server.run("runs", "cancel", "01M84S15FTK9QCY1KSSTMG17V5", run_id)
    assert again.code == 3
    assert run_id in again.out
    assert again.error == "01M84S15FTK9QCY1KSSTMG17V5: Run not found"


def test_all_runs_of_a_function_are_cancelled(server: Server) -> None:
    ids = {begun(server, "app/tired") for _ in range(3)}
    server.run.clock.sleep(0.01)
    job = server.run("runs", "cancel", "--function", "shop-rest", "--from", "1h", "--json").json
    assert (job["kind"], job["status"], job["found"]) == ("cancellation", "Completed", 3)

    def cancelled() -> bool:
        return all(has_status(server, run_id, "Cancelled") for run_id in ids)

    eventually(server.run.clock, cancelled)


def test_a_failed_run_is_run_again_from_a_step(server: Server) -> None:
    failed = started(server, "app/order")
    server.mend()
    ran = server.run("runs", "rerun", failed, "--from-step", "charge", "--wait", "--json")
    assert (ran.json["status"], ran.json["output"]) == ("Completed", "charged")
    assert ran.json["original_run_id"] == failed
    steps = server.run("runs", "show", ran.json["run_id"], "--json").json["steps"]
    assert [step["name"] for step in steps] == ["book", "charge"]
    whole = server.run("runs", "rerun", failed, "--wait")
    assert whole.code == 0
    assert whole.lines[0] == whole.lines[2].split()[0], "the id, and then what came of it"


def test_a_step_that_is_not_there_is_told_with_those_that_are(server: Server) -> None:
    failed = started(server, "app/order")
    ran = server.run("runs", "rerun", failed, "--from-step", "chrge")
    assert ran.code == 3
    assert ran.error == f"run {failed} has no step 'chrge'; its steps are: book, charge"


def test_a_function_is_replayed_with_a_bar(server: Server) -> None:
    for _ in range(3):
        started(server, "app/order")
    server.mend()
    server.run.is_terminal, server.run.width = True, 120
    # The end of a time is not part of it.
    server.run.clock.sleep(0.01)
    ran = server.run("runs", "replay", "shop-pay", "--from", "1h")
    assert ran.code == 0
    assert "Replaying shop-pay" in ran.err
    assert "of 3" in ran.err
    assert ran.out.rstrip().endswith("Completed: 3 of 3 runs run again")
    server.run.is_terminal = None
    job_id = ran.out.split()[0]
    assert [job["id"] for job in server.run("jobs", "--json").json] == [job_id]
    assert server.run("jobs", "show", job_id, "--json").json["done"] == 3
    assert server.run("jobs", "stop", job_id, "--json").json["status"] == "Completed"

    # Each of the runs that it started can be found by it, once it has ended.
    def completed() -> Any:
        runs = server.run("runs", "--status", "Completed", "--json").json
        return len(runs) == 3 and runs

    runs = eventually(server.run.clock, completed)
    assert {run["replay_id"] for run in runs} == {job_id}


def test_events_are_replayed_to_a_function(server: Server) -> None:
    run_id = started(server, "app/order")
    server.mend()
    # The end of a time is not part of it.
    server.run.clock.sleep(0.01)
    ran = server.run("events", "replay", "shop-pay", "--from", "1h", "--rate", "50")
    assert ran.code == 0
    assert ran.out.rstrip().endswith("Completed: 1 of 1 events replayed")
    job_id = ran.out.split()[0]
    assert server.run("jobs", "show", job_id, "--json").json["per_second"] == 50

    def completed() -> Any:
        return server.run("runs", "--status", "Completed", "--json").json

    [again] = eventually(server.run.clock, completed)
    assert (again["original_run_id"], again["replay_id"]) == (run_id, job_id)


def test_a_function_is_recovered(server: Server) -> None:
    run_id = begun(server, "app/tired")
    # The end of a time is not part of it.
    server.run.clock.sleep(0.01)
    ran = server.run("runs", "recover", "shop-rest", "--from", "1h")
    assert ran.code == 0
    assert ran.out.rstrip().endswith("Completed: 1 of 1 runs and events recovered")
    job_id = ran.out.split()[0]
    [job] = server.run("jobs", "list", "--json").json
    assert (job["id"], job["kind"]) == (job_id, "recovery")
    assert server.run("jobs", "stop", job_id, "--json").json["status"] == "Completed"
    shown = server.run("runs", "show", run_id, "--json").json
    assert (shown["status"], shown["attempt"]) == ("Running", 0)


def test_ctrl_c_leaves_a_job_running_and_says_how_to_see_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pressed:
        def __init__(self, clock):
            self.now_ms = clock.now_ms

        def sleep(self, seconds):
            raise KeyboardInterrupt

    started(server, "app/order")
    clock = server.run.clock
    clock.sleep(0.01)
    server.run.clock = Pressed(clock)
    ran = server.run("runs", "replay", "shop-pay", "--from", "1h")
    assert ran.code == 130
    job_id = ran.error.split()[1]
    assert ran.error == (
        f"replay {job_id} goes on; see `tidegate jobs follow {job_id}`, "
        f"and `tidegate jobs stop {job_id}` to stop it"
    )
    server.run.clock = clock
    assert server.run("jobs", "follow", job_id, "--json").json["status"] == "Completed"


class Interrupting:
    """A clock that, the nth time somebody sleeps, presses Ctrl-C; before that it lets things be."""

    def __init__(self, clock, *between):
        self._clock = clock
        self._between = list(between)

    def now_ms(self):
        return self._clock.now_ms()

    def sleep(self, seconds):
        if not self._between:
            raise KeyboardInterrupt
        self._between.pop(0)()
        self._clock.sleep(0.05)


def test_runs_are_followed_as_they_begin_and_change(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = server.run.clock
    ids: list[str] = []
    printed: list[str] = []
    other = type(server.run)(capsys, clock, before=server.run.before)

    def quietly(*arguments: str) -> Ran:
        printed.append(capsys.readouterr().out)
        return other(*arguments)

    def send() -> None:
        ids.append(quietly("send", "app/tired").out.strip())

    def appear() -> None:
        find = ("events", "show", ids[0], "--json")
        eventually(clock, lambda: quietly(*find).json["runs"])

    def cancel() -> None:
        [run] = quietly("events", "show", ids[0], "--json").json["runs"]
        quietly("runs", "cancel", run["run_id"])
        eventually(clock, lambda: ended(run["run_id"]))

    def ended(run_id: str) -> bool:
        return bool(quietly("runs", "show", run_id, "--json").json["ended_at"])

    server.run.clock = Interrupting(clock, send, appear, cancel, lambda: None)
    ran = server.run("runs", "tail", "--json")
    assert (ran.code, ran.err) == (130, "")
    lines = "".join([*printed, ran.out]).splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["Running", "Cancelled"]
    assert len({json.loads(line)["run_id"] for line in lines}) == 1


def test_events_are_followed_once_each(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    clock = server.run.clock
    server.run("send", "app/before")
    clock.sleep(0.01)
    other = type(server.run)(capsys, clock, before=server.run.before)
    printed: list[str] = []

    def send() -> None:
        printed.append(capsys.readouterr().out)
        other("send", "app/tired")

    server.run.clock = Interrupting(clock, send, lambda: None, send, lambda: None)
    ran = server.run("events", "tail", "--json")
    assert ran.code == 130
    lines = "".join([*printed, ran.out]).splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["app/tired", "app/tired"]
    server.run.clock = Interrupting(clock)
    text = server.run("events", "tail", "--from", "1h").out
    assert [line.split()[3] for line in text.splitlines()[1:]] == [
        "app/before",
        "app/tired",
        "app/tired",
    ]


def test_functions_are_listed_shown_and_invoked(server: Server) -> None:
    ids = [one["id"] for one in server.run("functions", "--json").json]
    assert ids == ["shop-big", "shop-greet", "shop-once", "shop-pay", "shop-rest"]
    assert "app/choosy if event.data.total > 100" in server.run("functions", "list").out
    started(server, "app/order")
    server.run.clock.sleep(0.01)
    shown = server.run("functions", "show", "shop-pay").out
    assert "app/order" in shown
    assert shown.splitlines()[-1].split() == ["0", "1", "0", "0"]
    stats = server.run("functions", "show", "shop-pay", "--json").json["stats"]
    assert sum(bucket["failed"] for bucket in stats["buckets"]) == 1
    invoked = server.run(
        "functions", "invoke", "shop-greet", "--data", '{"name": "Bo"}', "--wait", "--json"
    )
    assert (invoked.json["status"], invoked.json["output"]) == ("Completed", "hello, Bo")


def test_what_starts_no_run_is_told_to_who_waits(server: Server) -> None:
    ran = server.run("send", "app/unwanted", "--wait")
    assert ran.code == 1
    assert "started no run" in ran.error


def test_a_function_whose_expression_does_not_hold_is_not_waited_for(server: Server) -> None:
    before_ms = server.run.clock.now_ms()
    ran = server.run("send", "app/choosy", "--data", '{"total": 1}', "--wait")
    assert "started no run" in ran.error
    assert server.run.clock.now_ms() - before_ms < GRACE_MS
    big = server.run("send", "app/choosy", "--data", '{"total": 101}', "--wait", "--json")
    assert [run["output"] for run in big.json["runs"]] == ["big"]


def test_a_function_that_may_not_begin_is_not_waited_for_forever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.commands.following.GRACE_MS", 300)
    sending = ("send", "app/once", "--data", '{"key": "k"}', "--wait")
    assert server.run(*sending).code == 0
    assert "started no run" in server.run(*sending).error


def test_waiting_ends_when_its_time_is_over(server: Server) -> None:
    ran = server.run("send", "app/tired", "--wait", "--timeout", "0.3")
    assert ran.code == 1
    event_id = ran.lines[0]
    assert ran.error == f"not ended in 0.3 s; the runs of event {event_id} will go on"


def test_what_is_not_there_has_an_exit_code_of_its_own(server: Server) -> None:
    absent = "01M84S15FTK9QCY1KSSTMG17V5"
    url = server.run.before[1]
    for arguments in (
        ("runs", "show", absent),
        ("events", "show", absent),
        ("functions", "show", "shop-none"),
        ("functions", "invoke", "shop-none"),
        ("runs", "rerun", absent),
        ("runs", "replay", "shop-none", "--from", "1h"),
        ("jobs", "show", absent),
    ):
        ran = server.run(*arguments)
        assert (ran.code, ran.out) == (3, ""), arguments
        assert url in ran.error
        assert "HTTP 404" in ran.error
    bad = server.run("runs", "show", "nope")
    assert bad.code == 2
    assert bad.error == f"{url}: Invalid run ID: nope (HTTP 400)"
    expression = ("--function", "shop-rest", "--from", "1h", "--if", "event.")
    assert server.run("runs", "cancel", *expression).code == 2
