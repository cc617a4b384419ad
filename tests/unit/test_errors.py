"""When a function's RetryAfterError wants to be tried again, and how errors are caught."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidegate.errors import (
    CallerError,
    ConfigurationError,
    EventEncodingError,
    EventKeyUnspecifiedError,
    NonRetriableError,
    PlatformError,
    RequestError,
    RetryAfterError,
    RunLeasedError,
    SendEventsError,
    TidegateError,
)

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("retry_after", "delay_ms"),
    [
        (90_000, 90_000),
        (timedelta(minutes=2), 120_000),
        (datetime(2026, 3, 1, 13, tzinfo=UTC), 3_600_000),
        (datetime(2026, 3, 1, 13), 3_600_000),  # a naive one is UTC
        (datetime(2026, 3, 1, 15, tzinfo=timezone(timedelta(hours=2))), 3_600_000),
        (0, 1_000),
        (-5, 1_000),
        (timedelta(days=-1), 1_000),
        (datetime(2020, 1, 1, tzinfo=UTC), 1_000),
        (timedelta(days=3), 86_400_000),
        (datetime(2030, 1, 1, tzinfo=UTC), 86_400_000),
    ],
)
def test_when_to_try_again(retry_after: int | timedelta | datetime, delay_ms: int) -> None:
    assert RetryAfterError("later", retry_after).due_ms(NOW) == NOW + delay_ms


def test_errors_carry_what_their_catchers_need() -> None:
    refused = RequestError(405, "no", allow="POST")
    assert (refused.status, refused.message, refused.allow) == (405, "no", "POST")
    failed = SendEventsError("no", status=503, ids=("a", "b"))
    assert (failed.message, failed.status, failed.ids) == ("no", 503, ["a", "b"])
    assert SendEventsError("no", status=None).ids == []
    assert PlatformError("no").retry_after_s == 1
    assert RunLeasedError("no", retry_after_s=9).retry_after_s == 9


def test_families() -> None:
    caller = (RequestError, ConfigurationError, EventKeyUnspecifiedError, EventEncodingError)
    assert all(issubclass(error, CallerError) for error in caller)
    assert not issubclass(PlatformError, CallerError)
    assert issubclass(EventEncodingError, SendEventsError)
    assert all(issubclass(e, TidegateError) for e in (*caller, PlatformError, NonRetriableError))
