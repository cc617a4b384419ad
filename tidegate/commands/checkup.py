"""What `tidegate doctor` looks at, one after the other, and what to do about what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx

from tidegate.commands.alarm_states import Alarms
from tidegate.commands.connection import Connection
from tidegate.encoding import decode
from tidegate.errors import RestError, SendEventsError
from tidegate.event import PROBE
from tidegate.rest_client import host_of, path_of
from tidegate.rest_document import DOCUMENT

_TIMEOUT_S = 10.0
_PAUSE_S = 0.2
_ENDED = ("Completed", "Failed", "Cancelled")
_OPERATIONS = "see docs/operations.md"


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        check: what was looked at.
        verdict: what it came to.
        said: what was seen.
        advice: what to do about it.
    """

    check: str
    verdict: Verdict
    said: str
    advice: str = ""


@dataclass
class Checkup:
    """Looks at a deployment, or at the dev server.

    Args:
        connection: where it is.
        function: a function to run as well, if any.
        stack: the stack whose alarms are looked at, if any.
        patience_ms: how long the probe, or the function, may take.
    """

    connection: Connection
    function: str | None
    stack: str | None
    patience_ms: int
    _may_look: bool = field(default=False, init=False)
    _probe_id: str | None = field(default=None, init=False)

    def findings(self) -> Iterator[Finding]:
        """What is found, check by check."""
        reached = self._reachable()
        yield reached
        if reached.verdict == Verdict.OK:
            yield self._api()
            yield self._signing_key()
            yield self._event_key()
            yield self._end_to_end()
            if self.function is not None:
                yield self._run_of(self.function)
            yield self._dead_letters()
        yield self._alarms()

    def _reachable(self) -> Finding:
        url = self.connection.event_url.rpartition("/e/")[0]
        try:
            response = httpx.get(f"{url}/health", timeout=_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Finding(
                "reachable",
                Verdict.FAILED,
                f"{host_of(url)}: no answer: {error or type(error).__name__}",
                "name the server with --url; `Url` of the stack's outputs is its address",
            )
        if response.status_code == 200:
            took_ms = round(response.elapsed.total_seconds() * 1000)
            return Finding("reachable", Verdict.OK, f"{host_of(url)} answers in {took_ms} ms")
        said = f"{host_of(url)}/health: HTTP {response.status_code}"
        return Finding(
            "reachable",
            Verdict.FAILED,
            said,
            f"is it Tidegate? If so, look at the ingest Lambda's log; {_OPERATIONS}#servererrors",
        )

    def _api(self) -> Finding:
        """Whether the REST API is there, and as this command knows it; that needs no key."""
        url = f"{self.connection.api.base_url}/v1/openapi.json"
        try:
            described = httpx.get(url, timeout=_TIMEOUT_S).json()
            version, paths = described["info"]["version"], set(described["paths"])
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            return Finding(
                "api",
                Verdict.FAILED,
                f"the REST API does not describe itself: {type(error).__name__}",
                f"look at the api Lambda's log; {_OPERATIONS}#servererrors",
            )
        missing = sorted(set(decode(DOCUMENT.read_text())["paths"]) - paths)
        if missing:
            return Finding(
                "api",
                Verdict.OK,
                f"version {version}, of an older deployment than this command: it has no "
                f"{', '.join(missing)}",
                "deploy again for all that the command can do",
            )
        return Finding("api", Verdict.OK, f"version {version}, {len(paths)} paths")

    def _signing_key(self) -> Finding:
        try:
            functions = self.connection.api.get("/v1/functions")
        except RestError as error:
            return Finding("signing key", Verdict.FAILED, _said(error), _advice(error, "signing"))
        self._may_look = True
        count = sum(not function.get("removed") for function in functions)
        return Finding("signing key", Verdict.OK, f"valid; there are {count} functions")

    def _event_key(self) -> Finding:
        try:
            [self._probe_id] = self._send_probe()
        except SendEventsError as error:
            # It is refused for what it may not send, or for an environment that takes nothing.
            if error.status == 403 and PROBE in error.message:
                return Finding(
                    "event key",
                    Verdict.SKIPPED,
                    f"{_said(error)}",
                    f"a key that may send {PROBE!r} lets the whole way be checked",
                )
            return Finding("event key", Verdict.FAILED, _said(error), _advice(error, "event"))
        return Finding("event key", Verdict.OK, f"valid; the probe is {self._probe_id}")

    def _send_probe(self) -> list[str]:
        # Only here: it loads pydantic's models, which no other check needs.
        from tidegate.commands.event_file import checked_event
        from tidegate.commands.send import Delivery

        delivery = Delivery(self.connection, 1)
        for _ in delivery.run([checked_event({"name": PROBE}, "the probe")]):
            pass
        return delivery.ids

    def _end_to_end(self) -> Finding:
        """Whether the probe came through ingest, SNS and SQS to a Lambda, and into a table."""
        if not self._may_look:
            return Finding("end to end", Verdict.SKIPPED, "it takes both keys")
        if self._probe_id is None:
            return Finding("end to end", Verdict.SKIPPED, "no probe was accepted")
        path = path_of("probes", self._probe_id)
        try:
            took_ms = self._until(lambda: self.connection.api.get(path)["answered_at"])
        except RestError as error:
            if error.status == 404:
                return Finding(
                    "end to end",
                    Verdict.FAILED,
                    "the probe was accepted, and is not found in the environment of the "
                    "signing key, or the deployment answers no probes",
                    "use keys of one environment, and --env alike; or deploy a later version",
                )
            return Finding("end to end", Verdict.FAILED, _said(error), _advice(error, "signing"))
        if took_ms is None:
            return Finding(
                "end to end",
                Verdict.FAILED,
                f"the probe was accepted, and not answered within {self.patience_ms / 1000:g} s",
                f"look at the matcher's log and dead-letter queue; {_OPERATIONS}#deadletters",
            )
        return Finding(
            "end to end",
            Verdict.OK,
            f"the matcher has the probe, by SNS and SQS, and stored its answer; {took_ms} ms",
        )

    def _run_of(self, function: str) -> Finding:
        check = f"function {function}"
        if not self._may_look:
            return Finding(check, Verdict.SKIPPED, "it takes a signing key")
        found: dict[str, Any] = {}

        def ended() -> bool:
            try:
                found.update(self.connection.api.get(path_of("runs", run_id)))
            except RestError as error:
                if error.status != 404:
                    raise
            return found.get("status") in _ENDED

        try:
            run_id = self.connection.api.post(path_of("functions", function, "invoke"), {})[
                "run_id"
            ]
            took_ms = self._until(ended)
        except RestError as error:
            advice = _advice(error, "signing")
            if error.status == 404:
                advice = "`tidegate functions` lists those that are there"
            return Finding(check, Verdict.FAILED, _said(error), advice)
        if took_ms is None:
            return Finding(
                check,
                Verdict.FAILED,
                f"run {run_id} is {found.get('status', 'not begun')} after "
                f"{self.patience_ms / 1000:g} s",
                f"look at it again with `tidegate runs show {run_id}`, and at the worker's log",
            )
        if found["status"] != "Completed":
            advice = f"`tidegate runs show {run_id}` tells why"
            return Finding(check, Verdict.FAILED, f"run {run_id}: {found['status']}", advice)
        return Finding(check, Verdict.OK, f"run {run_id} completed; {took_ms} ms")

    def _dead_letters(self) -> Finding:
        if not self._may_look:
            return Finding("dead letters", Verdict.SKIPPED, "it takes a signing key")
        try:
            queues = self.connection.api.get("/v1/dead_letter_queues")
        except RestError as error:
            if error.status == 404:
                return Finding(
                    "dead letters",
                    Verdict.SKIPPED,
                    "this deployment does not tell",
                    "the alarms `DeadLetters` do, with --stack",
                )
            return Finding("dead letters", Verdict.FAILED, _said(error), _advice(error, "signing"))
        found = {one["function_id"]: one["messages"] for one in queues if one["messages"]}
        if found:
            counts = ", ".join(f"{function} {count}" for function, count in found.items())
            return Finding(
                "dead letters",
                Verdict.FAILED,
                f"messages were given up on: {counts}",
                "`tidegate dead-letters show FUNCTION` tells why; mend the cause, then "
                "`tidegate dead-letters redrive FUNCTION --all`",
            )
        return Finding("dead letters", Verdict.OK, "none")

    def _alarms(self) -> Finding:
        if self.stack is None:
            return Finding(
                "alarms",
                Verdict.SKIPPED,
                "no stack is named",
                "--stack Tidegate-production looks at its alarms, with your AWS credentials",
            )
        states = Alarms.of_stack(self.stack)
        if states.unknown:
            advice = "set AWS_PROFILE and AWS_REGION; it takes cloudwatch:DescribeAlarms"
            return Finding("alarms", Verdict.SKIPPED, states.unknown, advice)
        if states.ringing:
            names = ", ".join(states.ringing)
            return Finding("alarms", Verdict.FAILED, f"in alarm: {names}", f"{_OPERATIONS}#alarms")
        if not states.count:
            return Finding(
                "alarms",
                Verdict.SKIPPED,
                f"{self.stack} has none in {states.region}",
                "is that its name and region? `alarms` of a deployment says which it has",
            )
        return Finding("alarms", Verdict.OK, f"none of {states.count} is in alarm")

    def _until(self, is_so: Callable[[], Any]) -> int | None:
        """How many ms it took until something was so; None if it took too long."""
        clock = self.connection.clock
        began_ms = clock.now_ms()
        while not is_so():
            if clock.now_ms() - began_ms >= self.patience_ms:
                return None
            clock.sleep(_PAUSE_S)
        return clock.now_ms() - began_ms


def _said(error: RestError | SendEventsError) -> str:
    status = "" if error.status is None else f" (HTTP {error.status})"
    return f"{error.message}{status}"


def _advice(error: RestError | SendEventsError, kind: str) -> str:
    if "is archived" in error.message:
        return "let it take events again, or use keys of another environment"
    if error.status in (401, 403):
        return (
            f"set TIDEGATE_{kind.upper()}_KEY to one of its keys, and --env if that is a branch "
            f"key's; `tidegate keys create --stage … --kind {kind}` makes one"
        )
    if error.status is None:
        return "try again; it was reachable a moment ago"
    if error.status == 429:
        return "try again; more requests come than `requests_per_second` lets through"
    if error.status >= 500:
        return f"try again, and look at the Lambda's log; {_OPERATIONS}#servererrors"
    return "see docs/rest-api.md; is the deployment as new as this command?"
