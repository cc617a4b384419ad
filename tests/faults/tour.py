"""A tour of all that Lambdas do with AWS: each of their calls is made at least once.

Whoever goes on it repeats a request that is answered with 5xx, as clients do; everything must come
out as if nothing had gone wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.stage import Stage
from tidegate import Cancel, ContextSync, Event, TriggerEvent
from tidegate.aws import client
from tidegate.event import PROBE
from tidegate.function import Function, make_function
from tidegate.ids import Seed
from tidegate.key import StoredKeys
from tidegate.local.wiring import PREFIX
from tidegate.step import StepId

URL = "http://stage.example"
ENV = "production"
# Where a message belongs that is too damaged to say its environment.
DAMAGED = "dev"
LARGE = "x" * 70_000
HOUR_MS = 3_600_000
# What becomes a dead letter on the way.
NO_MESSAGE = "no message of an event"
FORGOTTEN = "tour/forgotten"
_MOST_TRIES = 40
_LONGEST_PAUSE_S = 300


@dataclass
class Tour:
    """Goes through a stage.

    Attributes:
        answers: the statuses that requests were answered with.
        stage: where; set before it goes.
    """

    answers: list[int] = field(default_factory=list)
    _sent: int = 0

    def functions(self) -> list[Function]:
        """What is deployed."""
        plain = self._function(lambda ctx: ctx.event.data.get("n"), "plain", "tour/plain")

        def everything(ctx: ContextSync) -> Any:
            large = ctx.step.run("large", lambda: LARGE)
            ctx.step.run("slow", self.stage.simulation.sleep, 5)
            twice = Event(name="tour/plain", id=f"twice-{ctx.run_id}")
            pair = [Event(name="tour/plain", data={"n": n}) for n in range(2)]
            ctx.step.send_event("send", [*pair, twice])
            ctx.step.send_event("send again", twice)
            ctx.step.sleep("short", 30_000)
            ctx.step.sleep("long", HOUR_MS // 3)
            found = ctx.step.wait_for_event("wait", event="tour/answer", timeout=6 * HOUR_MS)
            invoked = ctx.step.invoke("invoke", function=plain, data={"n": 2}, timeout=HOUR_MS)
            length = 0 if found is None else len(found.data["text"])
            return {"found": length, "invoked": invoked, "large": large}

        def forgetful(ctx: ContextSync) -> Any:
            return ctx.step.wait_for_event("wait", event="tour/called", timeout=6 * HOUR_MS)

        return [
            plain,
            self._function(
                everything,
                "everything",
                "tour/everything",
                idempotency="event.data.n",
                cancel=[Cancel(event="tour/stop", if_exp="async.data.n == event.data.n")],
            ),
            self._function(forgetful, "forgetful", FORGOTTEN),
        ]

    def go(self, stage: Stage) -> None:
        """Go through all of it."""
        self.stage = stage
        keys = StoredKeys(f"{PREFIX}-keys", stage.simulation)
        self._event_key = keys.create("event", ENV, branch=True)
        self._signing_key = keys.create("signing", ENV, branch=True)
        stage.do(self._go)
        assert stage.simulation.errors == []

    def _go(self) -> None:
        self._forget_an_event()
        run_id = self._do_everything()
        self._look(run_id)
        self._act(run_id)
        self._redrive()
        self._look_after_keys()
        # Once more, for what a fault the first time kept from being reached.
        self._forget_an_event()
        self._rest()

    # --- the ways through it ---------------------------------------------------------------------

    def _do_everything(self) -> str:
        """A run with every kind of step, whose message comes twice, and is damaged once."""
        event = {"name": "tour/everything", "data": {"n": 1}, "id": "everything"}
        [event_id] = self._send(event)
        wiring = self.stage.cloud.wiring["tour-everything"]
        sqs = client("sqs")
        sqs.send_message(QueueUrl=wiring.queue_url, MessageBody=NO_MESSAGE)
        # A duplicate; and the same key of idempotency once more.
        assert self._send(event) == [event_id]
        other_id = self._send({"name": "tour/everything", "data": {"n": 1}})[0]
        # Of two events with one key the one whose message comes through first starts the run.
        run = self._until(lambda: self._runs_of(event_id) or self._runs_of(other_id))[0]
        again = self.stage.handled["tour-everything"][0]
        sqs.send_message(QueueUrl=wiring.queue_url, MessageBody=again)
        self._until(lambda: self._is_at(run["run_id"], "wait"))
        self._send({"name": "tour/answer", "data": {"text": LARGE}}, {"name": "tour/other"})
        ended = self._until(lambda: self._ended(run["run_id"]))
        assert ended["status"] == "Completed", ended
        assert ended["output"] == {"found": len(LARGE), "invoked": 2, "large": LARGE}
        assert len(self._runs_of(event_id) + self._runs_of(other_id)) == 1
        return str(run["run_id"])

    def _forget_an_event(self) -> None:
        """A run whose event is gone from the bucket when what it waits for comes."""
        [event_id] = self._send({"name": FORGOTTEN, "data": {"text": LARGE}})
        run = self._until(lambda: self._runs_of(event_id))[0]
        self._until(lambda: self._is_at(run["run_id"], "wait"))
        bucket = f"{PREFIX}-payloads"
        for found in client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
            if event_id in found["Key"]:
                client("s3").delete_object(Bucket=bucket, Key=found["Key"])
        self._send({"name": "tour/called"})
        ended = self._until(lambda: self._ended(run["run_id"]))
        assert ended["status"] == "Failed", ended
        assert ended["output"]["name"] == "EventGone"

    def _look(self, run_id: str) -> None:
        """What is there is shown."""
        [event_id] = self._send_by_api({"name": "tour/plain", "id": "by-api"})
        large = {"name": "tour/large", "data": {"text": LARGE}}
        [large_id, _] = self._send_by_api(large, {"name": "tour/other"})
        self._until(lambda: self._runs_of(event_id))
        assert self._get(f"/v1/events/{large_id}")["data"]["text"] == LARGE
        assert {event["internal_id"] for event in self._get("/v1/events")} >= {event_id, large_id}
        assert run_id in {run["run_id"] for run in self._get("/v1/runs?limit=100")}
        assert {step["name"] for step in self._get(f"/v1/runs/{run_id}/steps")} >= {"large", "wait"}
        self._get(f"/v1/runs/{run_id}/timeline")
        self._get("/v1/functions/tour-plain/stats")
        [probe_id] = self._send({"name": PROBE})
        assert self._until(lambda: self._get(f"/v1/probes/{probe_id}")["answered_at"])

    def _act(self, run_id: str) -> None:
        """Runs are started again, invoked and cancelled; jobs come to their end."""
        steps = StepId("send").hashed
        rerun = self._api("POST", f"/v1/runs/{run_id}/rerun", {"from_step": steps}, 201)
        rerun_id = rerun["data"]["run_id"]
        invoked = self._api("POST", "/v1/functions/tour-plain/invoke", {"data": {"n": 3}}, 201)
        assert self._until(lambda: self._ended(invoked["data"]["run_id"]))["output"] == 3
        since = {"from": self._ago(12 * HOUR_MS)}
        replay = {"function_id": "tour-plain", "per_second": 1, **since}
        self._finish_job("event_replays", replay)
        self._until(lambda: self._is_at(rerun_id, "wait"))
        self._finish_job("recoveries", {"function_id": "tour-everything", **since})
        cancellation = {"app_id": "tour", "function_id": "everything", "if": "event.data.n == 1"}
        span = {"started_after": self._ago(12 * HOUR_MS), "started_before": self._ago(0)}
        self._finish_job("cancellations", {**cancellation, **span})
        assert self._until(lambda: self._ended(rerun_id))["status"] == "Cancelled"
        everything = {"function_id": "tour-everything", "status": ["Cancelled"], **since}
        self._finish_job("replays", everything)
        self._send({"name": "tour/stop", "data": {"n": 1}})
        started = self._api("POST", "/v1/replays", {"function_id": "tour-plain", **since}, 201)
        self._api("DELETE", f"/v1/replays/{started['data']['id']}", None, 200)

    def _redrive(self) -> None:
        """Of two dead letters one is put back, and dies again; then all are deleted."""
        function = "tour-everything"
        url = self.stage.cloud.wiring[function].dead_letter_url
        client("sqs").send_message(QueueUrl=url, MessageBody=NO_MESSAGE)
        assert {one["function_id"]: one["messages"] for one in self._get("/v1/dead_letter_queues")}[
            function
        ]

        def two() -> Any:
            found = self._get(f"/v1/functions/{function}/dead_letters", DAMAGED)["dead_letters"]
            return found if len(found) >= 2 else None

        chosen = self._until(two)[0]["id"]
        self._end_job("redrives", {"function_id": function, "message_ids": [chosen]}, DAMAGED)
        self._until(two)
        self._end_job("dead_letter_deletions", {"function_id": function}, DAMAGED)

    def _look_after_keys(self) -> None:
        made = self._api("POST", "/v1/keys", {"kind": "event", "name": "tour"}, 201)["data"]
        self._api("POST", f"/v1/keys/{made['id']}/rotate", None, 201)
        self._api("DELETE", f"/v1/keys/{made['id']}", None, 200)
        assert made["id"] in {key["id"] for key in self._get("/v1/keys")}
        self._send({"name": "tour/elsewhere"}, env="branch-1")
        self._until(lambda: "branch-1" in {env["name"] for env in self._get("/v1/environments")})
        self._api("POST", "/v1/environments/branch-1/archive", None, 200)
        self._api("POST", "/v1/environments/branch-1/unarchive", None, 200)
        body = {"key": self._signing_key}
        session = self._request("POST", "/dashboard/session", body, (200,), {})
        headers = {
            "cookie": session.headers["set-cookie"].partition(";")[0],
            "x-csrf-token": session.json()["data"]["csrf_token"],
        }
        # Repeated after an answer that was lost, it says that nobody is logged in.
        self._request("DELETE", "/dashboard/session", None, (204, 401), headers)

    def _rest(self) -> None:
        """Let what is under way come to its end."""
        while not self.stage.is_settled():
            self.stage.simulation.sleep(60)

    # --- what is asked of it ---------------------------------------------------------------------

    def _send(self, *events: Mapping[str, Any], env: str = "") -> list[str]:
        """The ids of events, once they are acknowledged."""
        # A sender's seed makes a repeated request harmless.
        self._sent += 1
        seed = Seed.derived(self.stage.simulation.now_ms(), "tour", str(self._sent))
        headers = {"x-inngest-event-id-seed": seed.header}
        if env:
            headers["x-inngest-env"] = env
        answer = self._request("POST", f"/e/{self._event_key}", list(events), (200,), headers)
        return list(answer.json()["ids"])

    def _send_by_api(self, *events: Mapping[str, Any]) -> list[str]:
        return list(self._api("POST", "/v1/events", list(events), 201)["data"]["ids"])

    def _get(self, path: str, env: str = "") -> Any:
        return self._api("GET", path, None, 200, env=env)["data"]

    def _api(self, method: str, path: str, body: Any, *status: int, env: str = "") -> Any:
        headers = {"authorization": f"Bearer {self._signing_key}"}
        if env:
            headers["x-inngest-env"] = env
        return self._request(method, path, body, status, headers).json()

    def _request(
        self,
        method: str,
        path: str,
        body: Any,
        statuses: tuple[int, ...],
        headers: Mapping[str, str],
    ) -> httpx.Response:
        """The answer to a request, repeated as long as it is 5xx."""
        content = None if body is None else json.dumps(body)
        for _ in range(_MOST_TRIES):
            with httpx.Client(base_url=URL, verify=False, timeout=60) as http:  # noqa: S501
                answer = http.request(method, path, content=content, headers=dict(headers))
            self.answers.append(answer.status_code)
            if answer.status_code < 500:
                assert answer.status_code in statuses, (method, path, answer.text)
                return answer
            if answer.status_code == 503:
                assert answer.headers["retry-after"]
            self.stage.simulation.sleep(1)
        raise AssertionError(f"{method} {path}: never answered; {answer.text}")

    def _runs_of(self, event_id: str) -> list[Any]:
        return list(self._get(f"/v1/events/{event_id}/runs"))

    def _is_at(self, run_id: str, step: str) -> bool:
        steps = self._api("GET", f"/v1/runs/{run_id}/steps", None, 200, 404)["data"]
        return step in {found["name"] for found in steps or ()}

    def _ended(self, run_id: str) -> Any:
        # It is not there before a worker has its message.
        run = self._api("GET", f"/v1/runs/{run_id}", None, 200, 404)["data"]
        return run if run and run["status"] in ("Completed", "Failed", "Cancelled") else None

    def _finish_job(self, kind: str, body: Mapping[str, Any]) -> None:
        ended = self._end_job(kind, body)
        assert ended["skipped"] == 0
        assert ended["done"] >= 1

    def _end_job(self, kind: str, body: Mapping[str, Any], env: str = "") -> Any:
        job = self._api("POST", f"/v1/{kind}", body, 201, env=env)["data"]
        ended = self._until(lambda: self._job(kind, job["id"], env))
        assert ended["status"] == "Completed"
        assert self._get(f"/v1/{kind}", env)
        return ended

    def _job(self, kind: str, job_id: str, env: str) -> Any:
        job = self._get(f"/v1/{kind}/{job_id}", env)
        return job if job["status"] != "Running" else None

    def _ago(self, ms: int) -> int:
        return self.stage.simulation.now_ms() - ms

    def _until(self, ask: Any) -> Any:
        """What is found once it is there."""
        pause_s = 1.0
        for _ in range(200):
            found = ask()
            if found:
                return found
            self.stage.simulation.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        raise AssertionError("it never came")

    @staticmethod
    def _function(handler: Any, fn_id: str, name: str, **options: Any) -> Function:
        settings: dict[str, Any] = {"trigger": TriggerEvent(event=name), "name": None}
        return make_function(handler, app_id="tour", fn_id=fn_id, retries=20, **settings, **options)
