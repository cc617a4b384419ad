"""The matcher's worker: handles a batch of its queue, and reports what must come again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.bulk_job import JobMessage
from tidegate.job_work import JobWork
from tidegate.matcher import Matcher

logger = logging.getLogger("tidegate.matcher")


@dataclass(frozen=True)
class MatcherWorker:
    """Handles the messages of the matcher's queue: awaited events, looks, and slices of bulk jobs.

    Jobs are rare and a queue of their own would cost even where there are none, so their slices
    come here. Of a batch they are done last: no run waits for a job.

    Attributes:
        matcher: brings events to runs.
        jobs: works on bulk jobs.
    """

    matcher: Matcher
    jobs: JobWork

    def handle(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The partial batch response: which messages must come again.

        Args:
            batch: an SQS event of Lambda.
        """
        records = sorted(batch["Records"], key=lambda record: JobMessage.is_in(record["body"]))
        failed = [record for record in records if not self._handle(record)]
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in failed]}

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
