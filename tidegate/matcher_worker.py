"""The matcher's worker: handles a batch of its queue, and reports what must come again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tidegate.bulk_job import JobMessage
from tidegate.clock import Clock
from tidegate.job_work import JobWork
from tidegate.manifest import BATCH_SIZE, MATCHER_TIMEOUT_S
from tidegate.matcher import Matcher

logger = logging.getLogger("tidegate.matcher")


# A message has the matcher for itself for so long; then the next one begins beside it.
_TURN_S = 3
# What is left for telling which messages are done.
_RESERVE_MS = 2_000


@dataclass(frozen=True)
class MatcherWorker:
    """Handles the messages of the matcher's queue: awaited events, looks, and slices of bulk jobs.

    Jobs are rare and a queue of their own would cost even where there are none, so their slices
    come here. Of a batch they are done last: no run waits for a job. The messages are handled one
    after the other, since the second one of a wait has nothing left to do; but one that takes long,
    as when every call of AWS ends with its time-out, holds up none behind it.

    Attributes:
        matcher: brings events to runs.
        jobs: works on bulk jobs.
        clock: the time.
    """

    matcher: Matcher
    jobs: JobWork
    clock: Clock

    def handle(
        self, batch: Mapping[str, Any], remaining_ms: int = 1000 * MATCHER_TIMEOUT_S
    ) -> dict[str, Any]:
        """The partial batch response: which messages must come again.

        Args:
            batch: an SQS event of Lambda.
            remaining_ms: how long this invocation may still take. What is not done by then comes
                again; should it be done later, doing it again is harmless.
        """
        end_ms = self.clock.now_ms() + remaining_ms - _RESERVE_MS
        records = sorted(batch["Records"], key=lambda record: JobMessage.is_in(record["body"]))
        if len(records) == 1:
            done = [self._handle(records[0])]
        else:
            done = self._handle_in_turn(records, end_ms)
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]}
                for record, is_done in zip(records, done, strict=True)
                if not is_done
            ]
        }

    def _handle_in_turn(self, records: Sequence[Mapping[str, Any]], end_ms: int) -> list[bool]:
        """Which messages are done with before the end."""
        threads = ThreadPoolExecutor(BATCH_SIZE, thread_name_prefix="message")
        handling: list[Future[bool]] = []
        for record in records:
            handling.append(threads.submit(self._handle, record))
            self._is_done(handling[-1], self.clock.now_ms() + _TURN_S * 1000)
        threads.shutdown(wait=False)
        return [self._is_done(message, end_ms) for message in handling]

    def _is_done(self, message: Future[bool], until_ms: int) -> bool:
        """Whether a message is done with by then."""
        try:
            return message.result(max(until_ms - self.clock.now_ms(), 0) / 1000)
        except TimeoutError:
            return False

    def _handle(self, record: Mapping[str, Any]) -> bool:
        """Whether a message is done with."""
        try:
            text = record["body"]
            if JobMessage.is_in(text):
                self.jobs.work(JobMessage.decode(text).job)
            else:
                self.matcher.accept(text)
        except Exception as error:
            logger.exception(
                "message comes again",
                extra={"message_id": record["messageId"], "error": str(error)},
            )
            return False
        return True
