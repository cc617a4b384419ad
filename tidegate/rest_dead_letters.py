"""Dead letters in the REST API: how many each function has, and which, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.aws import concurrently
from tidegate.dead_letters import DeadLetter, DeadLetterQueue, Subject
from tidegate.errors import RequestError
from tidegate.manifest import MATCHER_MAX_RECEIVES, Manifest
from tidegate.queue_directory import MATCHER, FunctionQueues, QueueDirectory
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_operation import Ulid, operation
from tidegate.rest_query import LIMIT, parse_query
from tidegate.run import Run, Status
from tidegate.run_store import RunStore

# For how long nobody else sees what is being looked at, should it not be put down, in seconds.
_HIDDEN_S = 10
_SHOWN_BODY = 2_000


class DeadLetterQueueObject(TypedDict):
    """A function's dead-letter queue, or the matcher's.

    Attributes:
        messages: about how many there are, of all environments.
    """

    function_id: str
    messages: int


class DeadLetterObject(TypedDict):
    """A message that was given up on.

    Attributes:
        id: SQS's id of it, by which it is redriven.
        reason: why it is there, and where to look.
        sent_at: when it was sent to the function's queue; where it was moved by who handled it, or
            never came there, when it was sent to the dead-letter queue.
        event_id: the internal id of its event; null of what has none.
        event_name: the event's name.
        run_id: the run that it starts, or goes on with; null while none is recorded.
        run_status: how that run stands.
        body: of a damaged message, the beginning of its text.
    """

    id: str
    reason: str
    sent_at: Time
    event_id: Ulid | None
    event_name: str | None
    run_id: Ulid | None
    run_status: Status | None
    body: NotRequired[str]


class DeadLettersObject(TypedDict):
    """Dead letters of a function, or of the matcher.

    Attributes:
        messages: about how many there are, of all environments.
        dead_letters: those of this environment that were found, the newest first. What somebody
            else has in hand at this moment is not among them.
    """

    function_id: str
    messages: int
    dead_letters: list[DeadLetterObject]


class DeadLettersQuery(TypedDict):
    """How many letters are asked for."""

    limit: Annotated[int, LIMIT]


@dataclass(frozen=True)
class DeadLetterEndpoints:
    """What can be asked about dead letters.

    Attributes:
        directory: knows the queues.
        runs: the runs that they belong to.
        manifest: the functions.
        default_env: the environment of letters that are too damaged to say theirs.
    """

    directory: QueueDirectory
    runs: RunStore
    manifest: Manifest
    default_env: str

    @operation("GET", "/v1/dead_letter_queues", list[DeadLetterQueueObject], tag="Dead letters")
    def list_dead_letter_queues(self, call: Call) -> Result:  # noqa: ARG002
        """How many dead letters each function has, by its id; the matcher's come last."""
        queues = self.directory.all()
        ids = sorted(queues, key=lambda function_id: (function_id == MATCHER, function_id))
        depths = concurrently(lambda one: DeadLetterQueue(queues[one]).depth().total, ids)
        return Result(
            [
                DeadLetterQueueObject(function_id=function_id, messages=depth)
                for function_id, depth in zip(ids, depths, strict=True)
            ]
        )

    @operation(
        "GET",
        "/v1/functions/<function_id>/dead_letters",
        DeadLettersObject,
        tag="Dead letters",
        query=DeadLettersQuery,
    )
    def list_dead_letters(self, call: Call) -> Result:
        """Dead letters of a function; `matcher` has those of what wakes runs."""
        query = parse_query(DeadLettersQuery, call.query)
        queues = asked_queues(self.directory, call.path["function_id"])
        queue = DeadLetterQueue(queues)
        depth = queue.depth().total
        letters = self._look(queue, call.env, query["limit"]) if depth else []
        shown = DeadLettersObject(
            function_id=queues.function_id,
            messages=max(depth, len(letters)),
            dead_letters=self._objects(call, queues.function_id, letters),
        )
        return Result(shown)

    def _look(self, queue: DeadLetterQueue, env: str, limit: int) -> list[DeadLetter]:
        """Letters of an environment, the newest first; others are looked at on the way."""
        function_id = queue.queues.function_id
        seen: dict[str, DeadLetter] = {}
        found: dict[str, DeadLetter] = {}
        # Where most letters are of other environments, it ends without having seen all.
        while len(found) < limit and len(seen) < 5 * limit:
            letters = queue.receive(10, hidden_s=_HIDDEN_S)
            if not letters:
                break
            for letter in letters:
                seen[letter.id] = letter
                subject = Subject.of(letter, function_id)
                if env == (subject.env if subject else self.default_env):
                    found[letter.id] = letter
        queue.put_down(list(seen.values()))
        newest = sorted(found.values(), key=lambda letter: letter.sent_ms, reverse=True)
        return newest[:limit]

    def _objects(
        self, call: Call, function_id: str, letters: Sequence[DeadLetter]
    ) -> list[DeadLetterObject]:
        function = self.manifest.deployed_function(function_id)
        receives = function.max_receive_count if function else MATCHER_MAX_RECEIVES
        subjects = [Subject.of(letter, function_id) for letter in letters]
        run_ids = {one.run_id for one in subjects if one and one.run_id}
        runs = {run.id: run for run in self.runs.get_all(call.env, sorted(run_ids), call.now_ms)}
        return [
            _object(letter, subject, runs.get(subject.run_id or "") if subject else None, receives)
            for letter, subject in zip(letters, subjects, strict=True)
        ]


def asked_queues(directory: QueueDirectory, function_id: str) -> FunctionQueues:
    """The queues of a function that is asked for.

    Raises:
        RequestError: 404, there is no such function.
    """
    queues = directory.all().get(function_id)
    if queues is None:
        raise RequestError(
            404, f"Function not found: {function_id}; see GET /v1/dead_letter_queues"
        )
    return queues


def _object(
    letter: DeadLetter, subject: Subject | None, run: Run | None, max_receives: int
) -> DeadLetterObject:
    shown = DeadLetterObject(
        id=letter.id,
        reason=letter.reason(max_receives),
        sent_at=rfc3339(letter.sent_ms),
        event_id=subject.event_id if subject else None,
        event_name=subject.event_name if subject else None,
        run_id=run.id if run else None,
        run_status=run.status if run else None,
    )
    if subject is None:
        shown["body"] = letter.body[:_SHOWN_BODY]
    return shown
