"""Retries are bounded in time: whatever AWS does not answer, each Lambda ends before it is killed.

All of it in virtual time: a time-out lasts its seconds there, and no moment here.
"""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.faults.fault import Call, ServerError, Throttled, TimedOut
from tests.faults.layer import FaultLayer
from tests.faults.plan import Always
from tests.faults.shop import INSPECTED, PLACED, RETURNED, Ledger, functions
from tests.faults.stage import MATCHER, REQUEST_TIMEOUT_S, Stage
from tidegate.aws import client
from tidegate.batch import until_empty
from tidegate.errors import PlatformError
from tidegate.local.cloud import Cloud
from tidegate.local.wiring import PREFIX
from tidegate.manifest import MATCHER_TIMEOUT_S
from tidegate_cdk import handler_lambda

TIMEOUT_S = 60
ATTEMPTS = 3
# Of one attempt, as `tidegate.aws` says.
TIME_OUT_S = 4
_SERVICES: tuple[Any, ...] = ("dynamodb", "s3", "scheduler", "sns", "sqs")


class Outage:
    """A stage on which, from some moment on, no call of a Lambda is answered.

    Attributes:
        stage: the stage.
        took_s: by Lambda, how long each of its invocations since then took.
        failed: by Lambda, how many messages each of its invocations said must come again.
    """

    def __init__(self, where: Callable[[Call], bool] = lambda call: True) -> None:
        self.ledger = Ledger()
        plan = Always(TimedOut(), lambda call: self._is_on and bool(call.caller) and where(call))
        self.stage = Stage(functions(self.ledger), plan, timeout_s=TIMEOUT_S, auth="open")
        self.took_s: defaultdict[str, list[float]] = defaultdict(list)
        self.failed: defaultdict[str, list[int]] = defaultdict(list)
        self._is_on = False

    def __enter__(self) -> Outage:
        self.stage.__enter__()
        invoke, simulation = self.stage.invoke, self.stage.simulation

        def timed(name: str, event: dict[str, Any]) -> Any:
            began_s, was_on = simulation.now_s, self._is_on
            returned = invoke(name, event)
            if was_on:
                self.took_s[name].append(simulation.now_s - began_s)
                self.failed[name].append(len(returned.get("batchItemFailures", [])))
            return returned

        self.stage.invoke = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self.stage.__exit__()

    def begin(self) -> None:
        self._is_on = True

    def end(self) -> None:
        self._is_on = False

    def send(self, *events: dict[str, Any]) -> httpx.Response:
        return self.ask("POST", "/e/key", list(events))

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        def ask() -> httpx.Response:
            with httpx.Client(timeout=60, verify=False) as http:  # noqa: S501
                headers = {"authorization": "Bearer key"}
                return http.request(method, f"http://localhost{path}", json=body, headers=headers)

        return self.stage.do(ask)

    def wait(self, seconds: float) -> None:
        self.stage.do(lambda: self.stage.simulation.sleep(seconds))


def orders(name: str, count: int, **data: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "data": {"order": str(number), **data}} for number in range(1, count + 1)
    ]


@pytest.fixture
def outage() -> Iterator[Outage]:
    with Outage() as outage:
        yield outage


def test_the_time_of_a_request_is_the_stacks() -> None:
    assert handler_lambda.REQUEST_TIMEOUT_S == REQUEST_TIMEOUT_S


REQUESTS = {
    "without an id": orders(PLACED, 1),
    "with ids": [event | {"id": event["data"]["order"]} for event in orders(PLACED, 40)],
    "large": orders(PLACED, 1, text="x" * 100_000),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_ingest_says_in_time_that_it_cannot(outage: Outage, kind: str) -> None:
    outage.begin()
    answer = outage.send(*REQUESTS[kind])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    [took_s] = outage.took_s["ingest"]
    assert TIME_OUT_S < took_s < REQUEST_TIMEOUT_S


def test_ingest_says_so_as_well_when_each_call_is_answered_at_its_last_attempt() -> None:
    """Each call succeeds after two time-outs, and there are more calls than time."""
    with Outage(lambda call: call.attempt < ATTEMPTS) as outage:
        outage.begin()
        answer = outage.send({"name": PLACED, "id": "1", "data": {"order": "1"}})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert 20 < outage.took_s["ingest"][0] < REQUEST_TIMEOUT_S
        outage.end()
        outage.wait(60)
        outage.stage.settle()
        assert outage.send({"name": PLACED, "id": "1", "data": {"order": "1"}}).status_code == 200
        outage.stage.settle()
        assert {len(ids) for ids in outage.ledger.runs.values()} == {1}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/runs", None),
        ("GET", "/v1/events", None),
        ("POST", "/v1/functions/shop-archive/invoke", {"data": {}}),
        ("POST", "/v1/events", orders(PLACED, 3)),
    ],
)
def test_the_rest_api_says_in_time_that_it_cannot(
    outage: Outage, method: str, path: str, body: Any
) -> None:
    outage.begin()
    answer = outage.ask(method, path, body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    [took_s] = outage.took_s["api"]
    assert TIME_OUT_S < took_s < REQUEST_TIMEOUT_S


def test_a_worker_returns_its_messages_in_time() -> None:
    with Outage(lambda call: call.caller != "ingest") as outage:
        outage.begin()
        assert outage.send(*orders(PLACED, 30)).status_code == 200
        outage.wait(TIMEOUT_S * 2)
        for name in ("shop-charge", "shop-notify"):
            assert sum(outage.failed[name]) >= 30
            assert max(outage.took_s[name]) < TIMEOUT_S
        assert outage.stage.crashed.total() == 0
        outage.end()
        outage.stage.settle()
        assert len(outage.ledger.runs) == 60
        assert {len(ids) for ids in outage.ledger.runs.values()} == {1}
        assert outage.stage.dead_letters() == []


def test_a_worker_whose_function_has_run_returns_its_message_in_time() -> None:
    """What it came to is worth patience, but not being killed for it."""
    with Outage(lambda call: call.operation == "UpdateItem") as outage:
        outage.begin()
        assert outage.send(*orders(PLACED, 10)).status_code == 200
        outage.wait(TIMEOUT_S + 10)
        for name in ("shop-charge", "shop-notify"):
            assert outage.failed[name][0] == 10
            assert TIMEOUT_S / 2 < outage.took_s[name][0] < TIMEOUT_S
        assert outage.stage.crashed.total() == 0
        outage.end()
        outage.stage.settle()
        assert {len(ids) for ids in outage.ledger.runs.values()} == {1}


def test_the_matcher_returns_its_messages_in_time() -> None:
    with Outage(lambda call: call.caller == MATCHER) as outage:
        assert outage.send(*orders(RETURNED, 3)).status_code == 200
        outage.wait(60)
        outage.begin()
        assert outage.send(*(inspection(n) for n in range(20))).status_code == 200
        outage.wait(MATCHER_TIMEOUT_S * 2)
        assert sum(outage.failed[MATCHER]) >= 20
        assert max(outage.took_s[MATCHER]) < MATCHER_TIMEOUT_S
        assert outage.stage.crashed.total() == 0
        outage.end()
        outage.stage.settle()
        assert outage.ledger.to_inspect == set()
        assert outage.stage.dead_letters() == []


def inspection(number: int) -> dict[str, Any]:
    returned = str(number % 3 + 1)
    return {"name": INSPECTED, "data": {"order": f"inspection {number}", "returned": returned}}


# --- botocore's retries --------------------------------------------------------------------------


# Each has clients of its own: who was refused too often tries only once.
@pytest.fixture
def cloud() -> Iterator[Cloud]:
    started = Cloud()
    started.start()
    yield started
    started.stop()


class Pauses:
    """The time in which calls are tried again.

    Attributes:
        slept_s: how long each pause was.
    """

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def now_ms(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        if seconds:
            self.slept_s.append(seconds)

    def die(self) -> Any:
        raise SystemExit


@pytest.fixture
def pauses(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Pauses:
    pauses = Pauses()
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.sleep))
    return pauses


@pytest.mark.parametrize("service", _SERVICES)
def test_each_client_tries_three_times_in_standard_mode(cloud: Cloud, service: Any) -> None:
    config = client(service).meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": ATTEMPTS}
    assert (config.connect_timeout, config.read_timeout) == (1, TIME_OUT_S)


@pytest.mark.parametrize(("fault", "longest_s"), [(ServerError(), 3), (Throttled(), 3)])
def test_pauses_between_attempts_are_jittered(pauses: Pauses, fault: Any, longest_s: float) -> None:
    random.seed(7)  # botocore draws from it, and a mean of a few lots may come out either way
    key = {"pk": {"S": "a"}, "sk": {"S": "a"}}
    calls = 12
    with FaultLayer(Always(fault), pauses) as layer:
        for _ in range(calls):
            with pytest.raises(ClientError):
                client("dynamodb").get_item(TableName=f"{PREFIX}-runs", Key=key)
    assert layer.calls.total() == calls * ATTEMPTS
    firsts, seconds = pauses.slept_s[::2], pauses.slept_s[1::2]
    assert len(set(pauses.slept_s)) == calls * 2, "no two callers come back together"
    assert statistics.mean(seconds) > statistics.mean(firsts), "the second pause is longer"
    assert max(map(sum, zip(firsts, seconds, strict=True))) < longest_s


def test_pauses_between_batches_are_jittered_and_end() -> None:
    pauses = Pauses()
    tries = []

    def refuse(items: list[int]) -> list[int]:
        tries.append(items)
        return items

    for _ in range(30):
        with pytest.raises(PlatformError, match="refused 6 times"):
            until_empty(refuse, [1], pauses, "it")
    assert len(tries) == 30 * 6
    assert len(set(pauses.slept_s)) == 30 * 5
    assert sum(pauses.slept_s) / 30 < 3.1
