"""A layer between botocore and what answers it, in which calls of AWS fail as a plan says.

A fault takes the place of an answer, below botocore's own retries: what it says is parsed, and the
call repeated, as that of a real service would be. Only what AWS tells within a successful answer,
that a batch was done in part, is put in above, where botocore repeats nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError
from moto.core.models import botocore_stubber

from tests.faults.error_answer import SERVER_ERRORS, THROTTLING, Raw, error_answer
from tests.faults.fault import (
    AnswerLost,
    Call,
    Crash,
    CutOff,
    Disconnected,
    DoneInPart,
    Fault,
    ServerError,
    Slow,
    Throttled,
    TimedOut,
    Unreachable,
    name_of,
)
from tidegate.aws import client
from tidegate.local import moto_shortcut

SERVICES: tuple[Any, ...] = ("dynamodb", "s3", "scheduler", "sns", "sqs", "ssm")
_MINE = "tidegate_faults"

Hit = tuple[str, str, str]


class Plan(Protocol):
    """Decides what goes wrong."""

    def fault(self, call: Call) -> Fault | None:
        """What happens to one attempt of a call; None when nothing does."""


class Time(Protocol):
    """The time in which faults last, and the processes in it that may die."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def die(self) -> NoReturn:
        """Kill the process that calls."""


@dataclass
class _Begun:
    """A call that is under way."""

    call: Call
    fault: Fault | None
    left_over: list[Any]
    attempts: int = 0


class FaultLayer:
    """Lets the calls of `tidegate.aws`'s clients fail while it is entered.

    Args:
        plan: what goes wrong.
        time: where slow answers and time-outs pass.
        latency_s: how long a call takes that nothing happens to, in seconds.
        caller: which Lambda calls.

    Attributes:
        calls: how many attempts there were of each operation.
        hits: how often each operation was hit by each kind of fault.
    """

    def __init__(
        self,
        plan: Plan,
        time: Time,
        *,
        latency_s: Callable[[], float] = lambda: 0.0,
        caller: Callable[[], str] = lambda: "",
    ) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.hits: Counter[Hit] = Counter()
        self._plan = plan
        self._time = time
        self._latency_s = latency_s
        self._caller = caller
        self._undo = ExitStack()
        # `before-send` knows nothing of the call that it belongs to but that it is this task's.
        self._begun: ContextVar[_Begun] = ContextVar("begun")

    def __enter__(self) -> FaultLayer:
        for service in SERVICES:
            events = client(service).meta.events
            for name, handler in (
                ("provide-client-params", self._begin),
                ("before-parameter-build", self._send),
                ("before-call", self._refuse),
                ("before-send", self._answer),
                ("after-call", self._end),
            ):
                events.register_first(name, handler)
                self._undo.callback(events.unregister, name, handler)
            # Everybody who listens to `before-send` is called, whatever another one answered.
            events.unregister("before-send", botocore_stubber)
            self._undo.callback(events.register, "before-send", botocore_stubber)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    # --- botocore's events, in the order in which they come --------------------------------------

    def _begin(
        self, params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any
    ) -> Mapping[str, Any] | None:
        """Decide what happens to a call's first attempt; the parameters that it is made with."""
        call = Call(model.service_model.service_name, model.name, params, self._caller())
        fault = self._drawn(call)
        begun = context[_MINE] = _Begun(call, fault, [])
        self._begun.set(begun)
        if not isinstance(fault, DoneInPart):
            return None
        entries = call.entries
        first = fault.variant % 2 if len(entries) > 1 else 1
        begun.left_over = entries[1 - first :: 2]
        return call.with_entries(entries[first::2])

    def _send(self, context: dict[str, Any], **_: Any) -> None:
        begun = context[_MINE]
        self._time.sleep(self._latency_s() / 2)
        if begun.fault is not None:
            moto_shortcut.take_the_long_way(context)

    def _refuse(
        self, context: dict[str, Any], **_: Any
    ) -> tuple[AWSResponse, dict[str, Any]] | None:
        """The answer to a batch of one thing, which is not done; there is nothing to send."""
        begun = context[_MINE]
        is_refused = isinstance(begun.fault, DoneInPart) and len(begun.call.entries) == 1
        return _nothing_done() if is_refused else None

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        """The answer to one attempt, or what comes in its place."""
        begun = self._begun.get()
        begun.attempts += 1
        fault = begun.fault
        if begun.attempts > 1:
            fault = self._drawn(replace(begun.call, attempt=begun.attempts))
        return self._happen(fault, begun.call.service, request)

    def _end(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        begun = context[_MINE]
        self._time.sleep(self._latency_s() / 2)
        if begun.left_over:
            parsed.update(_left_over(begun.call, begun.left_over))

    # --- what happens ----------------------------------------------------------------------------

    def _drawn(self, call: Call) -> Fault | None:
        self.calls[call.name] += 1
        fault = self._plan.fault(call)
        if fault is not None:
            if not fault.can_happen_to(call):
                raise ValueError(f"{name_of(fault)} cannot happen to {call.operation}")
            self.hits[*call.name, name_of(fault)] += 1
        return fault

    def _happen(
        self, fault: Fault | None, service: str, request: AWSPreparedRequest
    ) -> AWSResponse | None:
        """What is answered to a request, once whatever goes wrong with it has gone wrong."""
        config = client(service).meta.config  # type: ignore[call-overload]
        match fault:
            case Throttled(variant):
                errors = THROTTLING[service]
                return error_answer(service, request, errors[variant % len(errors)])
            case ServerError(variant, is_done):
                errors = SERVER_ERRORS[service]
                if is_done:
                    _asked(request)
                return error_answer(service, request, errors[variant % len(errors)])
            case Unreachable():
                self._time.sleep(config.connect_timeout)
                raise ConnectTimeoutError(endpoint_url=request.url)
            case TimedOut():
                self._time.sleep(config.read_timeout)
                raise ReadTimeoutError(endpoint_url=request.url)
            case AnswerLost():
                _asked(request)
                self._time.sleep(config.read_timeout)
                raise ReadTimeoutError(endpoint_url=request.url)
            case Disconnected():
                _asked(request)
                raise ConnectionClosedError(endpoint_url=request.url, request=request)
            case Slow(seconds):
                self._time.sleep(seconds)
            case CutOff():
                return _cut(_asked(request))
            case Crash(is_done):
                if is_done:
                    _asked(request)
                self._time.die()
        return _asked(request)


def _asked(request: AWSPreparedRequest) -> AWSResponse | None:
    """What the AWS in memory answers."""
    return botocore_stubber("before-send", request)


def _nothing_done() -> tuple[AWSResponse, dict[str, Any]]:
    """The successful answer to a batch of SNS or SQS of which nothing was done."""
    metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    answer = {"Successful": [], "ResponseMetadata": metadata}
    return AWSResponse("", 200, HTTPHeaders(), None), answer  # type: ignore[arg-type]


def _left_over(call: Call, entries: list[Any]) -> dict[str, Any]:
    """What the answer to a batch says of the entries that were not done."""
    if call.operation == "BatchWriteItem":
        return {"UnprocessedItems": {call.resource: entries}}
    if call.operation == "BatchGetItem":
        return {"UnprocessedKeys": call.with_entries(entries)["RequestItems"]}
    code, message = "InternalError", "We encountered an internal error. Please try again."
    failed = {"Code": code, "Message": message, "SenderFault": False}
    return {"Failed": [{"Id": entry["Id"], **failed} for entry in entries]}


def _cut(answer: AWSResponse | None) -> AWSResponse | None:
    """The first half of an answer's body, whose header still tells the length of all of it."""
    if answer is None or answer.status_code != 200:
        return answer
    body = answer.raw.read()
    answer.headers["content-length"] = str(len(body))
    return AWSResponse(answer.url, 200, answer.headers, Raw(body[: len(body) // 2]))  # type: ignore[arg-type]
