"""The REST API of a running dev server keeps to its OpenAPI document, whatever it is asked.

schemathesis asks what a client would ask and what none would, of things that are there. Beside
that each operation is asked for what it is for.
"""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.e2e.serving import Served, serving, until
from tests.openapi import check_answer, closed_document
from tidegate.clock import SystemClock
from tidegate.environments import Environments
from tidegate.local.wiring import PREFIX
from tidegate.step import StepId

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rest-api.md"
CHECKOUT = "storefront/cart.checkout.completed"
REPLAY = {"function_id": "shop-send-receipt", "from": "2025-01-01", "until": "2025-01-02"}
LETTERS = {"function_id": "shop-send-receipt", "until": "2026-01-02"}
EVENT_REPLAY = {**REPLAY, "if": "false"}
LISTS = (
    "/v1/events",
    "/v1/runs",
    "/v1/replays",
    "/v1/event_replays",
    "/v1/cancellations",
    "/v1/recoveries",
    "/v1/redrives",
    "/v1/dead_letter_deletions",
)
CANCELLATION = {"app_id": "shop", "function_id": "send-receipt", "started_before": "2025-01-01"}


@dataclass
class Seeded:
    """A dev server with events, runs and jobs.

    Attributes:
        served: the server.
        ids: of what is there, by names of path parameters, and by names of this test's own.
    """

    served: Served
    ids: dict[str, str]


@pytest.fixture(scope="module")
def seeded() -> Iterator[Seeded]:
    with serving("functions.shop") as served:
        order = {"orderId": "o-1", "customerId": "c-2", "total": 2_000, "address": "1 Quay Street"}
        joined = [{"customerId": name, "settleIn": "P1D"} for name in ("c-1", "c-2")]
        bought, lost, undone, *waiting = served.send(
            [
                {"name": CHECKOUT, "data": {"cartId": "c", "account": {"email": "a@example.com"}}},
                {"name": CHECKOUT, "data": {"cartId": "d"}, "user": {"id": "u"}, "id": "mine"},
                {"name": "storefront/order.placed", "data": order, "v": "1"},
                *({"name": "storefront/customer.joined", "data": data} for data in joined),
            ]
        )
        [failed] = [run["run_id"] for run in served.ended(lost, 2) if run["status"] == "Failed"]
        served.ended(bought, 2)
        asleep, other_asleep = (until(lambda e=event: sleeping(served, e)) for event in waiting)
        yield Seeded(
            served,
            {
                "event_id": bought,
                "run_id": asleep,
                "step_id": StepId("welcome").hashed,
                "function_id": "shop-send-receipt",
                "asleep": other_asleep,
                "failed": failed,
                "undone": served.run(undone)["run_id"],
                "replay": started(served, "replays", REPLAY),
                "event_replay": started(served, "event_replays", EVENT_REPLAY),
                "cancellation": started(served, "cancellations", CANCELLATION),
                "recovery": started(served, "recoveries", REPLAY),
                "redrive": started(served, "redrives", LETTERS),
                "dead_letter_deletion": started(served, "dead_letter_deletions", LETTERS),
                "key_id": started(served, "keys", {"kind": "event"}),
                "revoked": started(served, "keys", {"kind": "event"}),
                "environment": Environments(f"{PREFIX}-keys", SystemClock()).open("pr-1").name,
            },
        )
        for kind in (path.removeprefix("/v1/") for path in LISTS[2:]):
            stop_all(served, kind)


def sleeping(served: Served, event_id: str) -> str | None:
    """The run of an event, once it sleeps."""
    for run in served.runs(event_id):
        if len(served.look(f"runs/{run['run_id']}/steps")["data"]) == 2:
            return str(run["run_id"])
    return None


def started(served: Served, kind: str, body: dict[str, Any]) -> str:
    return str(served.http.post(f"/v1/{kind}", json=body).json()["data"]["id"])


def stop_all(served: Served, kind: str) -> None:
    """Let no job go on without the server that it needs."""
    for job in served.look(kind, limit=100)["data"]:
        if job["status"] == "Running":
            served.http.delete(f"/v1/{kind}/{job['id']}")


def kind_of(path: str) -> str:
    """The kind of the jobs below a path."""
    found = re.match(
        "/v1/(event_replay|replay|cancellation|recover|redrive|dead_letter_deletion)", path
    )
    return "" if found is None else found[1].replace("recover", "recovery")


def asked_document() -> dict[str, Any]:
    """What schemathesis goes by."""
    # The dev server takes any request.
    document = {**deepcopy(closed_document()), "security": []}
    # It varies the examples. Replay upon replay of what fails would double the runs each time.
    schemas = document["components"]["schemas"]
    for name in ("ReplayBody", "EventReplayBody"):
        for example in schemas[name].get("examples", ()):
            example["function_id"] = "shop-index-item"
    return document


schema = schemathesis.openapi.from_dict(asked_document())

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    negative_data_rejection,
]
PATTERNS = {
    parameter["name"]: parameter["schema"].get("pattern", "")
    for operations in closed_document()["paths"].values()
    for operation in operations.values()
    for parameter in operation["parameters"]
    if parameter.get("in") == "path"
}


@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_asked_the_answer_is_as_described(
    seeded: Seeded, case: schemathesis.Case
) -> None:
    # What could be there is asked for where it is: in this environment, under this id.
    if re.fullmatch("[!-~]*", case.headers.get("x-inngest-env", "none is sent")):
        del case.headers["x-inngest-env"]
    for name, value in case.path_parameters.items():
        if re.search(PATTERNS[name], str(value)):
            kind = kind_of(case.path)
            case.path_parameters[name] = seeded.ids[kind if name == "job_id" else name]
    case.call_and_validate(base_url=seeded.served.server.url, checks=CHECKS)


ASKED: list[tuple[str, str, Any, int]] = [
    ("GET", "/v1/events?limit=2", None, 200),
    ("GET", "/v1/events?name=storefront/order.placed", None, 200),
    ("GET", "/v1/events/{event_id}", None, 200),
    ("GET", "/v1/events/{event_id}/runs", None, 200),
    ("GET", "/v1/probes/{event_id}", None, 200),
    ("GET", "/v1/runs", None, 200),
    ("GET", "/v1/runs?status=Failed,Running&limit=1", None, 200),
    *(
        ("GET", f"/v1/runs/{{{run}}}{part}", None, 200)
        for run in ("asleep", "failed", "undone")
        for part in ("", "/steps", "/timeline", "/jobs")
    ),
    ("GET", "/v1/runs/{asleep}/steps/{step_id}", None, 200),
    ("GET", "/v1/runs/{asleep}/steps/none", None, 404),
    ("GET", "/v1/runs/{event_id}", None, 404),
    ("POST", "/v1/runs/{asleep}/rerun", {}, 409),
    ("DELETE", "/v1/runs/{asleep}", None, 200),
    ("POST", "/v1/runs/{failed}/rerun", None, 201),
    ("GET", "/v1/functions", None, 200),
    ("GET", "/v1/functions/{function_id}", None, 200),
    ("GET", "/v1/functions/{function_id}/stats?buckets=3", None, 200),
    ("POST", "/v1/functions/{function_id}/invoke", {"data": {"cartId": "c"}}, 201),
    ("POST", "/v1/functions/shop-none/invoke", {}, 404),
    ("POST", "/v1/replays", REPLAY, 201),
    ("GET", "/v1/replays", None, 200),
    ("GET", "/v1/replays/{replay}", None, 200),
    ("DELETE", "/v1/replays/{replay}", None, 200),
    ("POST", "/v1/event_replays", EVENT_REPLAY | {"per_second": 10}, 201),
    ("POST", "/v1/event_replays", EVENT_REPLAY | {"function_id": "shop-stock-report"}, 400),
    ("GET", "/v1/event_replays", None, 200),
    ("GET", "/v1/event_replays/{event_replay}", None, 200),
    ("DELETE", "/v1/event_replays/{event_replay}", None, 200),
    ("POST", "/v1/cancellations", CANCELLATION | {"if": "event.data.n > 1"}, 201),
    ("POST", "/v1/cancellations", {}, 400),
    ("GET", "/v1/cancellations?limit=1", None, 200),
    ("GET", "/v1/cancellations/{cancellation}", None, 200),
    ("DELETE", "/v1/cancellations/{cancellation}", None, 200),
    ("POST", "/v1/recoveries", REPLAY, 201),
    ("POST", "/v1/recoveries", REPLAY | {"function_id": "shop-none"}, 404),
    ("GET", "/v1/recoveries", None, 200),
    ("GET", "/v1/recoveries/{recovery}", None, 200),
    ("DELETE", "/v1/recoveries/{recovery}", None, 200),
    ("GET", "/v1/dead_letter_queues", None, 200),
    ("GET", "/v1/functions/{function_id}/dead_letters?limit=3", None, 200),
    ("GET", "/v1/functions/shop-none/dead_letters", None, 404),
    ("POST", "/v1/redrives", LETTERS | {"message_ids": ["m-1"], "per_second": 5}, 201),
    ("POST", "/v1/redrives", {"function_id": "shop-none"}, 404),
    ("GET", "/v1/redrives", None, 200),
    ("GET", "/v1/redrives/{redrive}", None, 200),
    ("DELETE", "/v1/redrives/{redrive}", None, 200),
    ("POST", "/v1/dead_letter_deletions", LETTERS, 201),
    ("POST", "/v1/dead_letter_deletions", LETTERS | {"message_ids": []}, 400),
    ("GET", "/v1/dead_letter_deletions", None, 200),
    ("GET", "/v1/dead_letter_deletions/{dead_letter_deletion}", None, 200),
    ("DELETE", "/v1/dead_letter_deletions/{dead_letter_deletion}", None, 200),
    ("POST", "/v1/events", {"name": "app/unheard"}, 201),
    ("POST", "/v1/events", [{"name": "app/unheard", "ts": 1}], 400),
    ("POST", "/v1/keys", {"kind": "event", "name": "shop", "event_names": ["app/*"]}, 201),
    ("POST", "/v1/keys", {"kind": "none"}, 400),
    ("GET", "/v1/keys", None, 200),
    ("POST", "/v1/keys/{revoked}/rotate", None, 201),
    ("DELETE", "/v1/keys/{revoked}", None, 200),
    ("POST", "/v1/keys/{revoked}/rotate", None, 409),
    ("GET", "/v1/environments", None, 200),
    ("POST", "/v1/environments/{environment}/archive", None, 200),
    ("POST", "/v1/environments/{environment}/unarchive", None, 200),
    ("POST", "/v1/environments/pr-2/archive", None, 404),
    ("GET", "/v1/openapi.json", None, 200),
    ("PUT", "/v1/runs", None, 405),
    ("GET", "/v1/nowhere", None, 404),
]


def test_each_operation_answers_as_described(seeded: Seeded, subtests: pytest.Subtests) -> None:
    succeeded = set()
    for method, path, body, status in ASKED:
        url = path.format(**seeded.ids)
        with subtests.test(f"{method} {path}"):
            answer = seeded.served.http.request(method, url, json=body)
            assert answer.status_code == status, answer.text
            operation = check_answer(method, url.partition("?")[0], status, answer.json())
            if answer.is_success:
                succeeded.add(operation)
    everything = closed_document()["paths"].values()
    described = {operation["operationId"] for path in everything for operation in path.values()}
    assert succeeded == described


def test_another_environment_has_none_of_it(seeded: Seeded, subtests: pytest.Subtests) -> None:
    elsewhere = {"x-inngest-env": "elsewhere"}
    ids = seeded.ids | {"run_id": seeded.ids["undone"]}
    for path, operations in closed_document()["paths"].items():
        kind = kind_of(path)
        url = path.format(**ids, job_id=ids.get(kind))
        for method in operations:
            with subtests.test(f"{method} {path}"):
                if re.search("{(event|run|job|key)_id}", path):
                    answer = seeded.served.http.request(method, url, headers=elsewhere)
                    assert answer.status_code == 404, answer.text
                elif path in LISTS:
                    assert seeded.served.look(path.removeprefix("/v1/"))["data"] != []
                    assert seeded.served.look(path.removeprefix("/v1/"), "elsewhere")["data"] == []


def curls() -> list[str]:
    """The command lines of the page about the REST API."""
    return re.findall(r"^curl .*$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", curls())
def test_the_page_shows_requests_that_work(seeded: Seeded, command: str) -> None:
    ids = seeded.ids
    variables = {
        "EVENT": ids["event_id"],
        "RUN": ids["asleep"],
        "STEP": ids["step_id"],
        "FUNCTION": ids["function_id"],
        "FAILED_RUN": ids["failed"],
        "ENDED_RUN": ids["undone"],
        "ITS_STEP": StepId("charge").hashed,
        "REPLAY": ids["replay"],
        "CANCELLATION": ids["cancellation"],
    }
    written = re.sub(r"\$([A-Z_]+)", lambda found: variables[found[1]], command)
    parser = ArgumentParser()
    parser.add_argument("-X", dest="method", default="GET")
    parser.add_argument("-d", dest="body")
    parser.add_argument("url")
    asked = parser.parse_args(shlex.split(written)[1:])
    url = asked.url.removeprefix("http://localhost:8288")
    # As curl sends it.
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = seeded.served.http.request(asked.method, url, content=asked.body, headers=form)
    assert answer.status_code == (201 if asked.method == "POST" else 200), answer.text
    check_answer(asked.method, url.partition("?")[0], answer.status_code, answer.json())


def test_the_page_has_all_routes_and_no_others() -> None:
    routes = {
        (method, re.sub(r"{\w+}", "{}", path))
        for method, path in re.findall(r"`(GET|POST|DELETE) (/v1/[^`?\s]*)`", PAGE.read_text())
    }
    described = {
        (method.upper(), re.sub(r"{\w+}", "{}", path))
        for path, operations in closed_document()["paths"].items()
        for method in operations
    }
    assert routes == described
