"""Every error Tidegate raises, in three families.

- the caller did something wrong: `CallerError`; repeating the same call gives the same error.
- the platform should retry: `PlatformError`; nothing is known to be wrong with the input.
- the user's function failed: what the function raised, or one of the two below to steer retries.

This module imports the standard library only, so that anything may import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_LONGEST_MESSAGE = 1_000


class TidegateError(Exception):
    """Base of every error below."""


# --- the caller did something wrong -------------------------------------------------------------


class CallerError(TidegateError):
    """The call cannot succeed as it is; the message says what is wrong, where, and what to do."""


class RequestError(CallerError):
    """An HTTP request that is refused.

    Args:
        status: the HTTP status to answer with, 400 to 499.
        message: what is wrong and where. Of one that quotes a long text the middle is left out: it
            is answered and logged.
        allow: for 405, the methods that the path takes.
    """

    def __init__(self, status: int, message: str, *, allow: str | None = None) -> None:
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[: _LONGEST_MESSAGE // 2]}…{message[-_LONGEST_MESSAGE // 2 :]}"
        super().__init__(message)
        self.status = status
        self.message = message
        self.allow = allow


class ConfigurationError(CallerError):
    """A client, a function, a trigger or a deployment setting that cannot work."""


class NotFoundError(CallerError):
    """What the call names is not there."""


class EventKeyUnspecifiedError(ConfigurationError):
    """Outside of dev mode a client needs an event key and none was given."""


class SendEventsError(TidegateError):
    """Sending failed; nothing is silent.

    Args:
        message: what the server, or the network, said.
        status: the HTTP status of the last answer; None when there was none.
        ids: internal ids of the events that were accepted before the failure, in the order sent.
    """

    def __init__(self, message: str, *, status: int | None, ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.ids = list(ids)


class RestError(TidegateError):
    """The REST API refused a request, or did not answer it.

    Args:
        message: what the server, or the network, said.
        status: the HTTP status of the last answer; None when there was none.
    """

    def __init__(self, message: str, *, status: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class EventEncodingError(SendEventsError, CallerError):
    """An event that cannot be written as JSON; nothing was sent. The message has its index."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=None)


class DeadLetterError(CallerError):
    """A queue message that no retry can make right; it belongs in the dead-letter queue."""


# --- the platform should retry ------------------------------------------------------------------


class PlatformError(TidegateError):
    """Storage or publishing did not succeed; the same call may succeed later.

    Args:
        message: which part did not answer.
        retry_after_s: how long a caller should wait, in seconds.
        is_passing: whether waiting alone may help; False for what somebody has to mend, such as a
            missing permission.
    """

    def __init__(self, message: str, *, retry_after_s: int = 1, is_passing: bool = True) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_passing = is_passing


class RunLeasedError(PlatformError):
    """Another worker drives this run, for `retry_after_s` from now at the longest."""


# --- the user's function failed -----------------------------------------------------------------


class FunctionError(TidegateError):
    """Base of the errors that a function raises to steer its own retries."""


class NonRetriableError(FunctionError):
    """Raised by a function that must not be tried again: the run fails at once.

    Args:
        message: why.
        quiet: taken for functions that were written for Inngest; failures are logged once anyway.
    """

    def __init__(self, message: str | None = None, quiet: bool = False) -> None:
        super().__init__("" if message is None else message)
        self.quiet = quiet


class RetryAfterError(FunctionError):
    """Raised by a function that wants to be tried again at a time of its choice.

    Args:
        message: why.
        retry_after: a number of milliseconds, a timedelta, or a datetime (naive is UTC). What the
            worker makes of it lies between 1 second and 24 hours.
        quiet: as in `NonRetriableError`.
    """

    def __init__(
        self,
        message: str | None,
        retry_after: int | timedelta | datetime,
        quiet: bool = False,
    ) -> None:
        if isinstance(retry_after, bool) or not isinstance(retry_after, int | timedelta | datetime):
            raise TypeError(
                f"retry_after={retry_after!r}: pass whole milliseconds, a timedelta or a datetime"
            )
        super().__init__("" if message is None else message)
        self.retry_after = retry_after
        self.quiet = quiet

    def due_ms(self, now_ms: int) -> int:
        """When to try again, in UTC milliseconds, given the present."""
        if isinstance(self.retry_after, datetime):
            moment = self.retry_after
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            delay_ms = int(moment.timestamp() * 1000) - now_ms
        elif isinstance(self.retry_after, timedelta):
            delay_ms = int(self.retry_after.total_seconds() * 1000)
        else:
            delay_ms = self.retry_after
        return now_ms + min(max(delay_ms, 1_000), 86_400_000)


class EventValidationError(NonRetriableError):
    """The event does not have the data that its class declares; no retry changes an event."""


class OutputError(NonRetriableError):
    """What a function or a step returned cannot be stored; trying again would return it again."""


class StepError(FunctionError):
    """A step failed for good; the function may catch it and go on.

    Args:
        message: the message of what the step raised.
        name: its type.
        stack: its traceback.
    """

    def __init__(self, message: str, *, name: str = "Error", stack: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.stack = stack


class InvokeError(StepError):
    """The function that was invoked failed; message, name and stack are those of its failure."""


class InvokeTimeoutError(InvokeError):
    """The function that was invoked did not end in time; it goes on all the same."""


class InvokeCancelledError(InvokeError):
    """The run of the function that was invoked was cancelled."""


class FunctionNotFoundError(InvokeError):
    """There is no function with the id that was to be invoked."""


class StepUsageError(NonRetriableError):
    """A step is used in a way that cannot work; the message says which and what to do."""


# --- control flow: not errors, and not to be caught ----------------------------------------------


class Interrupt(BaseException):
    """Base of what ends a function's code early; `except Exception` does not catch it."""


class Suspended(Interrupt):
    """The function cannot go on now; it is called again when it can."""


class BranchPending(Interrupt):
    """A branch of a parallel group cannot go on now; its group knows what to do."""


class Aborted(Interrupt):
    """The run must fail now, whatever the function would make of it.

    Args:
        name: the kind of the failure.
        message: what went wrong and what to do.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class Abandoned(Interrupt):
    """This invocation cannot go on, through no fault of the function.

    Args:
        cause: what the platform did not do.
    """

    def __init__(self, cause: PlatformError) -> None:
        super().__init__(str(cause))
        self.cause = cause
