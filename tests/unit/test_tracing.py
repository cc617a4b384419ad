"""The trace context of a request, and the ids that lines of a log get."""

from __future__ import annotations

import logging

import pytest

from tidegate.http import Request
from tidegate.tracing import (
    NO_ORIGIN,
    Origin,
    add_ids,
    came_from,
    current_ids,
    current_origin,
    logged,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def origin(**headers: str) -> Origin:
    return Origin.of_request(Request("POST", "/e/key", headers, b"", "request-1"))


def test_a_request_has_its_id_and_trace() -> None:
    found = origin(traceparent=PARENT, tracestate="a=1,b=2")
    assert found == Origin("request-1", PARENT, "a=1,b=2")


# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        PARENT.upper(),
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        PARENT.replace("00-", "ff-", 1),
        f"{PARENT}-more",
        f"{PARENT}\n",
        f"{PARENT}x",
        PARENT[:-1],
        f"01-{PARENT[3:]}-{'x' * 300}",
    ],
)
def test_what_is_no_trace_context_is_ignored(traceparent: str) -> None:
    # A header's value has no line end; the gateway would not let it in, and neither do we.
    found = origin(traceparent=traceparent, tracestate="a=1")
    assert found in (Origin("request-1"), Origin("request-1", traceparent.strip(), "a=1"))
    assert found.traceparent in ("", PARENT)


def test_a_later_version_may_have_more() -> None:
    later = f"01-{PARENT[3:]}-more"
    assert origin(traceparent=later).traceparent == later


@pytest.mark.parametrize("state", ["a=" + "x" * 511, "a=\x00", "a=é"])
def test_a_state_that_cannot_be_passed_on_is_left_out(state: str) -> None:
    assert origin(traceparent=PARENT, tracestate=state) == Origin("request-1", PARENT)


def test_fields_hold_an_origin() -> None:
    whole = Origin("r", PARENT, "a=1")
    assert Origin.of_fields(whole.fields()) == whole
    assert Origin("r").fields() == {"request_id": "r"}
    assert Origin.of_fields({"request_id": None, "later": 1}) == NO_ORIGIN


def test_ids_hold_within_and_no_longer() -> None:
    with came_from(Origin("r", PARENT)), logged(run_id="1", step=""):
        assert current_ids() == {"request_id": "r", "run_id": "1"}
        with logged(step="charge"):
            assert current_ids()["step"] == "charge"
        with came_from(NO_ORIGIN):
            assert current_ids() == {"run_id": "1"}
        assert current_origin().traceparent == PARENT
    assert current_ids() == {}
    assert current_origin() == NO_ORIGIN


def test_what_a_line_says_itself_wins() -> None:
    record = logging.makeLogRecord({"msg": "event received", "event_id": "own"})
    with logged(event_id="of the run", run_id="1"):
        assert add_ids(record)
    assert (record.event_id, record.run_id) == ("own", "1")  # type: ignore[attr-defined]
