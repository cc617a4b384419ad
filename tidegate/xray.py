"""Traces: each attempt of a run as a segment of its event's X-Ray trace, each step within it.

A batch has messages of several traces, and steps run beside each other in threads and tasks. The
X-Ray SDK knows one trace for an invocation and one current segment for a thread, so documents are
made here and handed to the daemon that every Lambda has beside it, see
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.encoding import encode
from tidegate.observer import Observer
from tidegate.tracing import current_origin

if TYPE_CHECKING:
    from tidegate.run import Failure, Run

# https://docs.aws.amazon.com/xray/latest/devguide/xray-daemon.html
_HEADER = '{"format": "json", "version": 1}\n'
# What a name may not have.
_NOT_IN_NAMES = re.compile(r"[^\w\s.:/%&#=+\\\-@]")
_MAX_NAME = 200
_ID = re.compile(r"[0-9a-f]{16}\Z")
_TRACE_ID = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}\Z")
# In which Lambda's runtime keeps the trace of the present invocation.
_OF_INVOCATION = "_X_AMZN_TRACE_ID"


class Traces(Observer):
    """Tells X-Ray of attempts and steps.

    Args:
        daemon: where the daemon listens, `address:port`.
    """

    def __init__(self, daemon: str) -> None:
        host, _, port = daemon.rpartition(":")
        self._address = (host, int(port))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def trace_of(self, attributes: Mapping[str, str]) -> str:
        return attributes.get("AWSTraceHeader") or os.environ.get(_OF_INVOCATION, "")

    def attempt_ended(self, run: Run, ended_ms: int, failure: Failure | None) -> None:
        started_ms = run.leased_ms or run.queued_ms
        self._send(run.function_id, _segment_id(run), None, run, started_ms, ended_ms, failure)

    def step_tried(
        self, run: Run, step: str, started_ms: int, ended_ms: int, failure: Failure | None
    ) -> None:
        own_id = secrets.token_hex(8)
        self._send(step, own_id, _segment_id(run), run, started_ms, ended_ms, failure)

    def _send(
        self,
        name: str,
        own_id: str,
        within: str | None,
        run: Run,
        started_ms: int,
        ended_ms: int,
        failure: Failure | None,
    ) -> None:
        """Hand a document to the daemon; it is lost if there is none.

        Args:
            name: what X-Ray calls it.
            own_id: its id.
            within: the id of the segment that it is a part of, if it is.
            run: whose it is.
            started_ms, ended_ms: from when to when, UTC ms.
            failure: why it failed, if it did.
        """
        trace = _parts(current_origin().xray)
        if trace.get("Sampled") != "1" or not _TRACE_ID.match(trace.get("Root", "")):
            return
        parent = within or trace.get("Parent", "")
        document: dict[str, Any] = {
            "name": _NOT_IN_NAMES.sub("_", name)[:_MAX_NAME],
            "id": own_id,
            "trace_id": trace["Root"],
            "start_time": started_ms / 1000,
            "end_time": max(ended_ms, started_ms) / 1000,
            "annotations": {
                "run_id": run.id,
                "function": run.function_id,
                "event_id": run.event_id,
                "attempt": run.attempt,
            },
            **({"type": "subsegment"} if within else {}),
            **({"parent_id": parent} if _ID.match(parent) else {}),
        }
        if failure is not None:
            # Its message may show what the event carries.
            cause = {"id": secrets.token_hex(8), "type": failure.name}
            document |= {"fault": True, "cause": {"exceptions": [cause]}}
        try:
            self._socket.sendto((_HEADER + encode(document)).encode(), self._address)
        except OSError:
            # A trace is worth no failure.
            return


def _segment_id(run: Run) -> str:
    """The id of the segment of an attempt, which its steps know before it ends."""
    return run.lease[:16]


def _parts(header: str) -> dict[str, str]:
    """The parts of a trace header, `Root=…;Parent=…;Sampled=1`."""
    return dict(part.split("=", 1) for part in header.split(";") if "=" in part)
