"""`tidegate doctor`, against the dev server and against the handlers of a deployment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.aws.conftest import ENV, Stage
from tests.commands.conftest import Commands, Ran, Server
from tidegate.environments import Environments
from tidegate.errors import RestError
from tidegate.event import PROBE
from tidegate.key import StoredKeys
from tidegate.rest_client import RestClient
from tidegate.rest_document import DOCUMENT

deployed = pytest.mark.parametrize("server", ["deployed"], indirect=True)
STACK = "Tidegate-production"


def verdicts(ran: Ran) -> dict[str, str]:
    """The mark of each check, by its name."""
    return {line[2:].partition(":")[0]: line[0] for line in ran.lines}


def line(ran: Ran, check: str) -> str:
    [found] = [one for one in ran.lines if one[2:].startswith(f"{check}:")]
    return found


def test_what_works_is_well(server: Server) -> None:
    ran = server.run("doctor")
    assert (ran.code, ran.err) == (0, ""), ran
    assert verdicts(ran) == {
        "reachable": "✓",
        "api": "✓",
        "signing key": "✓",
        "event key": "✓",
        "end to end": "✓",
        "dead letters": "✓",
        "alarms": "–",  # noqa: RUF001
    }
    assert "version 1, " in line(ran, "api")
    assert "5 functions" in line(ran, "signing key")
    assert "--stack" in line(ran, "alarms")


def test_an_older_deployment_is_told_as_such(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = json.loads(DOCUMENT.read_text())
    newer["paths"]["/v1/tides/{tide}"] = {}
    (tmp_path / "openapi.json").write_text(json.dumps(newer))
    monkeypatch.setattr("tidegate.commands.checkup.DOCUMENT", tmp_path / "openapi.json")
    ran = server.run("doctor")
    assert ran.code == 0
    assert "older deployment than this command: it has no /v1/tides/{tide};" in line(ran, "api")


def test_the_probe_is_an_event_that_starts_no_function(server: Server) -> None:
    server.run("doctor")
    [event] = server.run("events", "--name", PROBE, "--json").json
    assert server.run("events", "show", event["internal_id"], "--json").json["runs"] == []


def test_json_has_all_that_was_found(server: Server) -> None:
    found = server.run("doctor", "--json").json
    assert found["ok"] is True
    assert [one["verdict"] for one in found["checks"]] == ["ok"] * 6 + ["skipped"]
    assert all(set(one) == {"check", "verdict", "said", "advice"} for one in found["checks"])


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        ("shop-big", 0, "✓ function shop-big: run "),
        ("shop-pay", 1, "✗ function shop-pay: run "),
        ("shop-none", 1, "✗ function shop-none: "),
    ],
)
def test_a_function_is_run_where_one_is_named(
    server: Server, function: str, code: int, said: str
) -> None:
    ran = server.run("doctor", "--function", function)
    assert ran.code == code, ran
    [found] = [one for one in ran.lines if "function" in one.partition(":")[0]]
    assert found.startswith(said)
    assert ("tidegate runs show" in found) == (function == "shop-pay")
    assert ("`tidegate functions` lists" in found) == (function == "shop-none")


def test_a_function_that_takes_too_long_is_told(server: Server) -> None:
    ran = server.run("doctor", "--function", "shop-rest", "--timeout", "2")
    assert ran.code == 1
    assert "is Running after 2 s" in line(ran, "function shop-rest")


@pytest.mark.parametrize("status", [None, 400, 401, 403, 429, 503])
def test_of_whatever_fails_it_says_what_to_do(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int | None
) -> None:
    def fails(*_: Any) -> Any:
        raise RestError("it does not work", status=status)

    monkeypatch.setattr(RestClient, "get", fails)
    ran = server.run("doctor", "--json")
    checks = json.loads(ran.out)["checks"]
    failed = [one for one in checks if one["verdict"] == "failed"]
    assert [one["check"] for one in failed] == ["signing key"]
    assert failed[0]["advice"]


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
def test_a_timeout_that_is_none_is_one_line(offline: Commands, seconds: str) -> None:
    for command in (["doctor"], ["send", "a", "--wait"], ["functions", "invoke", "f", "--wait"]):
        ran = offline("--url", "http://127.0.0.1:9", *command, "--timeout", seconds)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("tidegate: Invalid value for '--timeout': ")
        assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("url", ["http://10.0.0.300:8288", "http://\u2603.invalid"])
def test_an_address_that_cannot_be_is_one_line(offline: Commands, url: str) -> None:
    ran = offline("--url", url, "doctor")
    assert ran.code == 1
    assert ran.lines[0].startswith("✗ reachable")
    assert "--url" in ran.lines[0]


def test_a_server_that_is_not_there(offline: Commands) -> None:
    ran = offline("--url", "http://127.0.0.1:9", "doctor")
    assert ran.code == 1
    assert verdicts(ran) == {"reachable": "✗", "alarms": "–"}  # noqa: RUF001
    assert "http://127.0.0.1:9: no answer" in ran.lines[0]
    assert "--url" in ran.lines[0]
    again = offline("--url", "http://127.0.0.1:9", "doctor", "--json")
    assert again.code == 1
    assert '"ok": false' in again.out


@deployed
def test_a_signing_key_that_is_not_valid(server: Server) -> None:
    ran = server.run("doctor", "--signing-key", "signkey-test-00")
    assert ran.code == 1
    found = verdicts(ran)
    assert (found["signing key"], found["event key"]) == ("✗", "✓")
    assert found["end to end"] == "–"  # noqa: RUF001
    assert "--kind signing" in line(ran, "signing key")


@deployed
def test_an_event_key_that_is_not_valid(server: Server) -> None:
    ran = server.run("doctor", "--event-key", "nobody")
    assert ran.code == 1
    found = verdicts(ran)
    assert (found["signing key"], found["event key"]) == ("✓", "✗")
    assert "--kind event" in line(ran, "event key")
    assert "nobody" not in ran.out


@deployed
def test_an_event_key_that_may_not_send_probes(server: Server, stage: Stage) -> None:
    keys = StoredKeys(stage.settings.keys_table, stage.clock)
    ran = server.run("doctor", "--event-key", keys.create("event", ENV, event_names=["app/*"]))
    assert ran.code == 0
    assert line(ran, "event key").startswith("–")  # noqa: RUF001
    assert PROBE in line(ran, "event key")


@deployed
def test_an_archived_environment_is_no_fault_of_the_key(server: Server, stage: Stage) -> None:
    keys = StoredKeys(stage.settings.keys_table, stage.clock)
    environments = Environments(stage.settings.keys_table, stage.clock)
    environments.open("pr-1")
    environments.archive("pr-1")
    given = [
        f"--{kind}-key={keys.create(kind, 'branches', branch=True)}"  # type: ignore[arg-type]
        for kind in ("event", "signing")
    ]
    ran = server.run("doctor", "--env", "pr-1", *given)
    assert ran.code == 1
    assert line(ran, "event key").startswith("✗")
    assert "`tidegate envs unarchive` opens it" in line(ran, "event key")
    assert "keys create" not in line(ran, "event key")
    assert "no probe was accepted" in line(ran, "end to end")


@deployed
def test_a_probe_that_nobody_answers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.probe.Probes.answer", lambda *_: None)
    ran = server.run("doctor")
    assert ran.code == 1
    assert "not answered within 30 s" in line(ran, "end to end")
    assert "dead-letter" in line(ran, "end to end")


@deployed
def test_keys_of_two_environments(server: Server, stage: Stage) -> None:
    other = StoredKeys(stage.settings.keys_table, stage.clock).create("event", "elsewhere")
    ran = server.run("doctor", "--event-key", other)
    assert ran.code == 1
    assert "use keys of one environment" in line(ran, "end to end")


@pytest.mark.parametrize(
    ("dead", "mark"), [([], "✓"), ([{"function_id": "a-b", "messages": 3}], "✗")]
)
@deployed
def test_dead_letters_are_a_fault(
    server: Server, monkeypatch: pytest.MonkeyPatch, dead: list[Any], mark: str
) -> None:
    get = RestClient.get
    monkeypatch.setattr(
        RestClient,
        "get",
        lambda self, path, *more: (
            dead if path == "/v1/dead_letter_queues" else get(self, path, *more)
        ),
    )
    ran = server.run("doctor")
    assert line(ran, "dead letters")[0] == mark
    assert ran.code == (1 if dead else 0)
    assert ("a-b 3" in line(ran, "dead letters")) == bool(dead)


def test_what_the_server_cannot_tell_is_a_fault(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = RestClient.get

    def fails(self: RestClient, path: str, *more: Any) -> Any:
        if path == "/v1/dead_letter_queues":
            raise RestError("the queues did not answer", status=503)
        return get(self, path, *more)

    monkeypatch.setattr(RestClient, "get", fails)
    ran = server.run("doctor")
    assert ran.code == 1
    assert "the queues did not answer (HTTP 503)" in line(ran, "dead letters")


# --- alarms ---------------------------------------------------------------------------------------


LETTERS = f"{STACK}-EventsStageAlarmsDeadLetters0A1B2C3D-AbCdEfGhIjKl"
NESTED = (
    f"{STACK}-EventsFunctions1NestedStack4E5F6A7B-1MN2OP3QR4ST5"
    "-FunctionAlarmsNestedStack2B3C4D5E-1K2L3M4N5O6P-Failing8C9D0E1F-UvWxYz012345"
)
# Of other stacks, also of stages whose names begin as this one's.
OTHERS = (
    "Other-Alarm3-AbCdEfGhIjKl",
    f"{STACK}-2-EventsStageAlarmsErrors0A1B2C3D-AbCdEfGhIjKl",
    f"{STACK}-eu-west-EventsStageAlarmsErrors0A1B2C3D-AbCdEfGhIjKl",
    f"{STACK}2-EventsStageAlarmsErrors0A1B2C3D-AbCdEfGhIjKl",
)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("cloudwatch", region_name="eu-central-1")
        for name in (LETTERS, NESTED, *OTHERS):
            client.put_metric_alarm(
                AlarmName=name, MetricName="m", Namespace="n", Statistic="Sum", Period=60,
                EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
            )  # fmt: skip
            client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="so")
        yield client


def alarms(offline: Commands, stack: str = STACK) -> str:
    return offline("--url", "http://127.0.0.1:9", "doctor", "--stack", stack).lines[-1]


def test_alarms_of_the_stack_are_looked_at(offline: Commands, cloudwatch: Any) -> None:
    assert alarms(offline) == "✓ alarms: none of 2 is in alarm"
    for other in OTHERS:
        cloudwatch.set_alarm_state(AlarmName=other, StateValue="ALARM", StateReason="so")
    assert alarms(offline) == "✓ alarms: none of 2 is in alarm"
    for name in (NESTED, LETTERS):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="so")
        assert alarms(offline).startswith(f"✗ alarms: in alarm: {name}")


def test_a_stack_without_alarms_is_told_with_its_region(offline: Commands, cloudwatch: Any) -> None:
    found = alarms(offline, "Tidegate-prod")
    assert found.startswith("– alarms: Tidegate-prod has none in eu-central-1")  # noqa: RUF001


def test_without_credentials_alarms_are_not_known(
    offline: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    found = alarms(offline)
    assert found.startswith("– alarms: CloudWatch cannot be asked: Unable to locate")  # noqa: RUF001
    assert "AWS_PROFILE" in found
