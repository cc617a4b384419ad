"""Redrives in the REST API: dead letters of a function go back into its queue, or are deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.ids import random_ulid
from tidegate.queue_directory import QueueDirectory
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_dead_letters import asked_queues
from tidegate.rest_event_replays import MAX_PER_SECOND
from tidegate.rest_field import some_texts, text, whole_number
from tidegate.rest_jobs import JobObject, Jobs, past_time
from tidegate.rest_operation import operation
from tidegate.rest_query import PageQuery, moment

MAX_CHOSEN = 100
# SQS's ids have 36 characters.
_LONGEST_ID = 100

_REFUSALS = {404: "there is no such function"}

_Function = Annotated[str, text("The function whose dead letters they are, or `matcher`")]
_MessageIds = Annotated[
    list[str],
    some_texts("The ids of the ones that are meant; all without", MAX_CHOSEN, _LONGEST_ID),
]
_From = Annotated[int, moment("The first moment of the time in which they were sent")]
_Until = Annotated[
    int, moment("The moment before which it ends; now, if it is not sent or lies ahead")
]

RedriveBody = TypedDict(
    "RedriveBody",
    {
        "function_id": _Function,
        "message_ids": NotRequired[_MessageIds],
        "from": NotRequired[_From],
        "until": NotRequired[_Until],
        "per_second": NotRequired[
            Annotated[
                int,
                whole_number("How many are moved in a second, at the most", 1, MAX_PER_SECOND),
            ]
        ],
    },
)
DeadLetterDeletionBody = TypedDict(
    "DeadLetterDeletionBody",
    {
        "function_id": _Function,
        "message_ids": NotRequired[_MessageIds],
        "from": NotRequired[_From],
        "until": NotRequired[_Until],
    },
)


@dataclass(frozen=True)
class RedriveEndpoints:
    """What moves and deletes dead letters.

    Attributes:
        jobs: starts and finds jobs.
        directory: knows the queues.
    """

    jobs: Jobs
    directory: QueueDirectory

    @operation("GET", "/v1/redrives", list[JobObject], tag="Dead letters", query=PageQuery)
    def list_redrives(self, call: Call) -> Result:
        """The newest redrives."""
        return self.jobs.list(call, JobKind.REDRIVE)

    @operation("GET", "/v1/redrives/<job_id>", JobObject, tag="Dead letters")
    def get_redrive(self, call: Call) -> Result:
        """One redrive, with its progress."""
        return self.jobs.get(call, JobKind.REDRIVE)

    @operation("DELETE", "/v1/redrives/<job_id>", JobObject, tag="Dead letters")
    def stop_redrive(self, call: Call) -> Result:
        """Stop a redrive; what it has moved is moved."""
        return self.jobs.stop(call, JobKind.REDRIVE)

    @operation(
        "POST",
        "/v1/redrives",
        JobObject,
        tag="Dead letters",
        body=RedriveBody,
        status=201,
        refusals=_REFUSALS,
    )
    def start_redrive(self, call: Call) -> Result:
        """Put dead letters of a function back into its queue, all or some; none starts twice."""
        body = parse_body(RedriveBody, call.body)
        return self._start(call, JobKind.REDRIVE, body, body.get("per_second"))

    @operation(
        "GET", "/v1/dead_letter_deletions", list[JobObject], tag="Dead letters", query=PageQuery
    )
    def list_dead_letter_deletions(self, call: Call) -> Result:
        """The newest deletions of dead letters."""
        return self.jobs.list(call, JobKind.DEAD_LETTER_DELETION)

    @operation("GET", "/v1/dead_letter_deletions/<job_id>", JobObject, tag="Dead letters")
    def get_dead_letter_deletion(self, call: Call) -> Result:
        """One deletion of dead letters, with its progress."""
        return self.jobs.get(call, JobKind.DEAD_LETTER_DELETION)

    @operation("DELETE", "/v1/dead_letter_deletions/<job_id>", JobObject, tag="Dead letters")
    def stop_dead_letter_deletion(self, call: Call) -> Result:
        """Stop a deletion of dead letters; what it has deleted is gone."""
        return self.jobs.stop(call, JobKind.DEAD_LETTER_DELETION)

    @operation(
        "POST",
        "/v1/dead_letter_deletions",
        JobObject,
        tag="Dead letters",
        body=DeadLetterDeletionBody,
        status=201,
        refusals=_REFUSALS,
    )
    def start_dead_letter_deletion(self, call: Call) -> Result:
        """Delete dead letters of a function, all or some; their runs stay as they are."""
        body = parse_body(DeadLetterDeletionBody, call.body)
        return self._start(call, JobKind.DEAD_LETTER_DELETION, body)

    def _start(
        self,
        call: Call,
        kind: JobKind,
        body: RedriveBody | DeadLetterDeletionBody,
        per_second: int | None = None,
    ) -> Result:
        asked_queues(self.directory, body["function_id"])
        from_ms, until_ms = past_time(body.get("from", 0), body.get("until"), call.now_ms)
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=kind,
            function_id=body["function_id"],
            app_id=None,
            from_ms=from_ms,
            until_ms=until_ms,
            run_statuses=(),
            expression=None,
            created_ms=call.now_ms,
            per_second=per_second,
            message_ids=tuple(dict.fromkeys(body.get("message_ids", ()))),
        )
        return self.jobs.start(job)
