"""Waiting for runs to end: those of an event, or one by its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tidegate.commands.connection import Connection
from tidegate.commands.exits import CommandError, ExitCode
from tidegate.commands.moment import ms_of
from tidegate.errors import RestError, TidegateError
from tidegate.event_pattern import matches
from tidegate.rest_client import path_of

# How long a run may take to appear that need not come at all.
GRACE_MS = 10_000
# How long one may take that must come: a cold start, or a queue that is full.
APPEARS_MS = 120_000
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

Run = dict[str, Any]


class Follower:
    """Waits for runs.

    Args:
        connection: where they are.
        timeout_ms: how long to wait at the most; None waits for as long as they take.
    """

    def __init__(self, connection: Connection, timeout_ms: int | None) -> None:
        self._connection = connection
        self._api = connection.api
        self._began_ms = connection.clock.now_ms()
        self._timeout_ms = timeout_ms

    def runs_of(self, event_ids: Sequence[str]) -> list[Run]:
        """The runs that events start, ended; none if no function wanted any of them.

        Args:
            event_ids: their internal ids.

        Raises:
            CommandError: they did not end in time, or one that must come did not appear.
        """
        functions = self._api.get("/v1/functions")
        runs: list[Run] = []
        for event_id in event_ids:
            event = self._api.get(path_of("events", event_id))
            runs += self._runs_of(event_id, *_started_by(event, functions))
        return runs

    def _runs_of(self, event_id: str, certain: set[str], possible: set[str]) -> list[Run]:
        if not certain and not possible:
            return []
        path = path_of("events", event_id, "runs")
        with self._waiting(f"the runs of event {event_id}") as pauses:
            while True:
                runs: list[Run] = self._api.get(path)
                seen = {run["function_id"] for run in runs}
                if all(map(has_ended, runs)):
                    missing = (possible - seen) if self._passed_ms() < GRACE_MS else set()
                    if not missing and not certain - seen:
                        return [self._api.get(path_of("runs", run["run_id"])) for run in runs]
                self._check_appearing(certain - seen, f"of event {event_id}")
                next(pauses)

    def run(self, run_id: str, *, must_come: bool = True) -> Run:
        """A run that was started just now, ended.

        Args:
            run_id: its id.
            must_come: False if an idempotency key may keep it from coming.

        Raises:
            CommandError: as for `runs_of`.
        """
        with self._waiting(f"run {run_id}") as pauses:
            while True:
                try:
                    run: Run = self._api.get(path_of("runs", run_id))
                    if has_ended(run):
                        return run
                except RestError as error:
                    if error.status != 404:
                        raise
                    if not must_come and self._passed_ms() >= GRACE_MS:
                        raise CommandError(
                            f"run {run_id} did not begin; the function has an idempotency key, "
                            "which was used in the last 24 hours",
                            ExitCode.FAILED,
                        ) from None
                    self._check_appearing({run_id}, run_id)
                next(pauses)

    def _passed_ms(self) -> int:
        return self._connection.clock.now_ms() - self._began_ms

    def _check_appearing(self, missing: set[str], what: str) -> None:
        if missing and self._passed_ms() >= APPEARS_MS:
            raise CommandError(
                f"no run {what} appeared in {APPEARS_MS // 1000} s: {', '.join(sorted(missing))}; "
                "the function's queue may be full, or its worker fails",
                ExitCode.FAILED,
            )

    @contextmanager
    def _waiting(self, what: str) -> Iterator[Iterator[None]]:
        try:
            yield self._pauses(what)
        except KeyboardInterrupt:
            raise CommandError(
                f"not waiting any longer; {what} will go on", ExitCode.INTERRUPTED
            ) from None

    def _pauses(self, what: str) -> Iterator[None]:
        pause_s = _FIRST_PAUSE_S
        while True:
            if self._timeout_ms is not None:
                left_ms = self._timeout_ms - self._passed_ms()
                if left_ms <= 0:
                    raise CommandError(
                        f"not ended in {self._timeout_ms / 1000:g} s; {what} will go on",
                        ExitCode.FAILED,
                    )
                pause_s = min(pause_s, left_ms / 1000)
            self._connection.clock.sleep(pause_s)
            yield
            pause_s = min(pause_s * 1.3, _LONGEST_PAUSE_S)


def has_ended(run: Mapping[str, Any]) -> bool:
    """Whether nothing more becomes of a run."""
    return run["status"] in ("Completed", "Failed", "Cancelled")


def _started_by(event: Mapping[str, Any], functions: Sequence[Any]) -> tuple[set[str], set[str]]:
    """The functions that an event starts for certain, and those that it may start."""
    certain, possible = set(), set()
    for function in functions:
        triggers = [t for t in function["triggers"] if "event" in t]
        wants = [_wants(t, event) for t in triggers if matches(t["event"], event["name"])]
        if True in wants and "idempotency" not in function["config"]:
            certain.add(function["id"])
        elif True in wants or None in wants:
            possible.add(function["id"])
    return certain, possible


def _wants(trigger: Mapping[str, Any], event: Mapping[str, Any]) -> bool | None:
    """Whether a trigger's expression holds of an event; None if that cannot be said here."""
    text = trigger.get("expression")
    if text is None:
        return True
    if event["data"] is None:
        return None
    # Only here: reading expressions takes long to load.
    from tidegate.expression import ExpressionError, compile_expression

    try:
        whole = {"user": {}, **event}
        return compile_expression(text).matches(event=whole, now_ms=ms_of(event["received_at"]))
    except ExpressionError:
        return False
    except TidegateError:
        # The server may know more of expressions than what is installed here.
        return None
