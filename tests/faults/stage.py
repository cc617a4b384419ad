"""A stage in virtual time: production's Lambdas, fed as Lambda feeds them, over an AWS in memory.

What waits, in production's code and in that of the dev server, waits in the simulation; so does
botocore between its tries, and moto's queues tell the time by it. A Lambda's process is killed at
the end of its time, and everything in it with it.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

import httpx
from moto.backends import get_backend

from tests.faults.layer import FaultLayer, Plan
from tests.faults.plan import NoFaults
from tests.faults.simulation import (
    Process,
    ProcessDied,
    Simulation,
    VirtualExecutor,
    VirtualThreading,
    VirtualTime,
)
from tidegate import registry
from tidegate.function import Function
from tidegate.local.cloud import Cloud
from tidegate.local.event_source import EventSourceMapping
from tidegate.local.http_front import gateway_event, http_response
from tidegate.local.lambda_function import ACCOUNT_ID, REGION, LambdaFunction
from tidegate.local.schedules import ScheduleClock
from tidegate.local.wiring import PREFIX, FunctionWiring, MatcherWiring
from tidegate.manifest import HANDLERS, MATCHER_TIMEOUT_S, ROUTES, Manifest

MATCHER = "matcher"
# Of ingest and of the REST API.
REQUEST_TIMEOUT_S = 25
_THREADS = ("tidegate.ingest", "tidegate.local.event_source", "tidegate.local.schedules")
_TIMES = (
    "botocore.endpoint",
    "tidegate.local.event_source",
    "tidegate.local.lambda_function",
    "tidegate.local.sqs_speed",
)
_POOLS = ("tidegate.matcher_worker", "tidegate.session", "tidegate.worker")
_QUEUES = ("moto.sqs.models", "tidegate.local.sqs_speed")


class Stage:
    """A stage whose calls of AWS fail as a plan says.

    Args:
        functions: what is deployed.
        plan: what goes wrong.
        seed: of all that is left to chance.
        timeout_s: how long an invocation of a function may take.
        auth: whether keys are checked, `keys`, or any will do, `open`.
        retention_days: how long events and runs are kept.
        latency_s: how long a call of AWS takes, in seconds.

    Attributes:
        simulation: the time.
        cloud: the AWS in memory.
        faults: the layer between the two.
        lost: whether a request, or its answer, is lost on the way from or to its sender; asked
            for each of both.
        crashed: by Lambda, how many of its invocations died.
        handled: by Lambda, the messages that it was given.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        plan: Plan | None = None,
        *,
        seed: int = 0,
        timeout_s: int = 120,
        auth: str = "open",
        retention_days: int = 30,
        latency_s: Callable[[], float] = lambda: 0.01,
    ) -> None:
        self.simulation = Simulation()
        self.cloud = Cloud()
        self.lost: Callable[[], bool] = lambda: False
        self.crashed: Counter[str] = Counter()
        self.handled: defaultdict[str, list[str]] = defaultdict(list)
        self.faults = FaultLayer(
            plan or NoFaults(), self.simulation, latency_s=latency_s, caller=self._caller
        )
        self._functions = list(functions)
        self._seed = seed
        self._timeout_s = timeout_s
        self._variables = {
            "TIDEGATE_AUTH": auth,
            "TIDEGATE_RETENTION_DAYS": str(retention_days),
        }
        self._lambdas: dict[str, LambdaFunction] = {}
        self._mappings: list[EventSourceMapping] = []
        self._timeouts_s: dict[str, float] = {}
        self._callers: dict[Process, str] = {}
        self._undo = ExitStack()

    def __enter__(self) -> Stage:
        try:
            self._start()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    # --- what happens in it ----------------------------------------------------------------------

    def invoke(self, name: str, event: dict[str, Any]) -> Any:
        """What a Lambda returns, called from a task.

        Raises:
            ProcessDied: it died, or its time was up.
        """
        process = Process(self.simulation)
        self._callers[process] = name
        returned = self.simulation.spawn(partial(self._lambdas[name].invoke, event), process)
        try:
            return returned.result(self._timeouts_s[name])
        except (ProcessDied, TimeoutError):
            process.kill()
            self.crashed[name] += 1
            raise ProcessDied from None
        finally:
            del self._callers[process]

    def settle(self) -> None:
        """Let everything happen that comes of what was done so far."""
        self.simulation.run(until=self.is_settled)

    def is_settled(self) -> bool:
        """Whether no message is left in any queue, and no schedule."""
        return not any(queue._messages for queue in self.queues()) and not _schedules()

    def do(self, call: Callable[[], Any]) -> Any:
        """Make a call in a task of its own, and give what it returns."""
        future = self.simulation.spawn(call)
        self.simulation.run(until=future.done)
        return future.result()

    def queues(self) -> list[Any]:
        """The queues that feed Lambdas."""
        return [_queue(wiring) for wiring in (self.cloud.matcher, *self.cloud.wiring.values())]

    def dead_letters(self) -> list[str]:
        """The bodies of all dead letters."""
        urls = [wiring.dead_letter_url for wiring in self.cloud.wiring.values()]
        queues = [_queue_at(url) for url in (self.cloud.matcher.dead_letter_url, *urls)]
        return [message.body for queue in queues for message in queue._messages.values()]

    # --- what it consists of ---------------------------------------------------------------------

    def _start(self) -> None:
        self._be_quiet()
        # Production draws lots for its back-off, and botocore, too.
        self._undo.callback(random.setstate, random.getstate())
        random.seed(self._seed)
        self._undo.callback(_register_only, registry.registered())
        _register_only(self._functions)
        self._pass_time()
        self._undo.callback(self.cloud.stop)
        self.cloud.start()
        self.cloud.provision(Manifest.of(self._functions, timeout_s=self._timeout_s))
        self._deploy("ingest", self.cloud.ingest_environment(), REQUEST_TIMEOUT_S)
        self._deploy("api", self.cloud.api_environment(), REQUEST_TIMEOUT_S)
        self._deploy(MATCHER, self.cloud.matcher_environment(), MATCHER_TIMEOUT_S)
        self._feed(MATCHER, self.cloud.matcher)
        for function in self._functions:
            variables = self.cloud.worker_environment(function.id)
            self._deploy(function.id, variables, self._timeout_s, "worker")
            self._feed(function.id, self.cloud.wiring[function.id])
        ScheduleClock(PREFIX, self.simulation).start()
        self._undo.enter_context(patch.object(httpx.HTTPTransport, "handle_request", self._request))
        self._undo.enter_context(self.faults)

    def _deploy(
        self, name: str, variables: dict[str, str], timeout_s: float, handler: str = ""
    ) -> None:
        module = HANDLERS[handler or name]
        self._lambdas[name] = LambdaFunction(name, module, variables | self._variables, timeout_s)
        self._timeouts_s[name] = timeout_s

    def _feed(self, name: str, wiring: FunctionWiring | MatcherWiring) -> None:
        mapping = EventSourceMapping(
            name,
            wiring.queue_url,
            wiring.queue_arn,
            partial(self._handle, name),
            batch_size=wiring.batch_size,
            max_concurrency=wiring.max_concurrency,
        )
        self._mappings.append(mapping)
        mapping.start()

    def _handle(self, name: str, batch: dict[str, Any]) -> Any:
        self.handled[name] += [record["body"] for record in batch["Records"]]
        return self.invoke(name, batch)

    def _pass_time(self) -> None:
        """Let the simulation's time be everybody's."""
        simulation = self.simulation
        self._undo.enter_context(simulation.waited_for())
        self._undo.enter_context(patch("tidegate.clock.SystemClock", lambda: simulation))
        threading, time = VirtualThreading(simulation), VirtualTime(simulation)
        pool = partial(VirtualExecutor, simulation)
        for module in _THREADS:
            self._undo.enter_context(patch(f"{module}.threading", threading))
        for module in _TIMES:
            self._undo.enter_context(patch(f"{module}.time", time))
        for module in _POOLS:
            self._undo.enter_context(patch(f"{module}.ThreadPoolExecutor", pool))
        shared = pool(10_000)
        self._undo.enter_context(patch("tidegate.concurrency._pool", lambda: shared))
        self._undo.enter_context(patch("moto.sqs.models.Condition", threading.Condition))
        for module in _QUEUES:
            self._undo.enter_context(
                patch(f"{module}.unix_time_millis", lambda: simulation.now_s * 1000)
            )
            self._undo.enter_context(patch(f"{module}.unix_time", lambda: simulation.now_s))

    def _be_quiet(self) -> None:
        """Leave out the handlers' log lines, which they print when nobody else takes them."""
        logger = logging.getLogger("tidegate")
        before = (logger.handlers[:], logger.level, logger.propagate)

        def restore() -> None:
            logger.handlers[:], logger.level, logger.propagate = before

        self._undo.callback(restore)
        logger.handlers[:] = [logging.NullHandler()]
        logger.setLevel(logging.CRITICAL)
        logger.propagate = False

    def _caller(self) -> str:
        process = self.simulation.process
        return self._callers.get(process, "") if process is not None else ""

    def _request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a client's request, unless one of the two is lost on its way."""
        if self.lost():
            raise httpx.ConnectError("the request was lost", request=request)
        # The request is handled to its end, even if its client does not wait for that.
        answer = self.simulation.spawn(partial(self._respond, request, request.read()))
        try:
            response = answer.result(request.extensions["timeout"]["read"])
        except TimeoutError:
            raise httpx.ReadTimeout("no answer came in time", request=request) from None
        if self.lost():
            raise httpx.ReadError("the answer was lost", request=request)
        return response

    def _respond(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """What API Gateway answers."""
        path = request.url.path
        scope = {
            "method": request.method,
            "path": path,
            "query_string": request.url.query,
            "http_version": "1.1",
            "headers": request.headers.raw,
        }
        route, name = next(found for found in ROUTES if _takes(found[0], path))
        try:
            event = gateway_event(scope, body, route, self.simulation.now_ms())
            answer = http_response(self.invoke(name, event))
        except ProcessDied:
            return httpx.Response(500, json={"message": "Internal Server Error"})
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


def _takes(route: str, path: str) -> bool:
    prefix, marker, _ = route.partition("{proxy+}")
    return route in ("$default", path) or (bool(marker) and path.startswith(prefix))


def _register_only(functions: Sequence[Function]) -> None:
    registry.clear()
    for function in functions:
        registry.register(function)


def _queue(wiring: FunctionWiring | MatcherWiring) -> Any:
    return _queue_at(wiring.queue_url)


def _queue_at(url: str) -> Any:
    return get_backend("sqs")[ACCOUNT_ID][REGION].queues[url.rpartition("/")[2]]


def _schedules() -> list[Any]:
    groups = get_backend("scheduler")[ACCOUNT_ID][REGION].schedule_groups
    return list(groups[PREFIX].schedules.values())
