"""Jobs about dead letters: back into their function's queue with them, or away, all or some.

A page of such a job takes letters into hand and acts on those that the job is about; the job ends
when there are no more. Letters that die again were sent after the job was asked for, so it does not
meet them twice. A page that is cut off loses its count, but no letter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.aws import concurrently
from tidegate.bulk_job import AT_END, BulkJob, JobKind, Progress
from tidegate.dead_letters import DeadLetter, DeadLetterQueue, Subject
from tidegate.queue_directory import QueueDirectory

# How many letters that it leaves alone a page looks at.
_LOOKED_AT = 500
# For how long nobody else sees what a job has left alone, unless it ends before, in seconds.
_HIDDEN_S = 120
# When others have in hand what is left, a job asks again, after so many seconds and twice that each
# time: all in all for longer than letters are out of sight of which a lost answer had told.
PATIENCE = 5
PAUSE_S = 5


@dataclass
class _Hand:
    """What a page has taken: what its job is about, the others, and whether that was the last."""

    wanted: list[DeadLetter] = field(default_factory=list)
    others: list[DeadLetter] = field(default_factory=list)
    is_last: bool = False


@dataclass(frozen=True)
class Redriver:
    """Works on jobs about dead letters.

    Attributes:
        directory: knows the queues.
        default_env: the environment of letters that are too damaged to say theirs.
        wait_s: how long SQS waits for a letter before it says that there are none, in seconds.
    """

    directory: QueueDirectory
    default_env: str
    wait_s: int = 1

    def page(self, job: BulkJob, limit: int) -> Progress:
        """Act on some letters, so many at the most.

        Raises:
            PlatformError: it was not all done; repeating the call is safe.
        """
        queues = self.directory.all().get(job.function_id)
        if queues is None:
            return Progress(AT_END, note=f"function {job.function_id!r} has no queues any more")
        queue = DeadLetterQueue(queues)
        hand = self._take(job, queue, limit)
        faults = concurrently(lambda letter: _act(job, queue, letter), hand.wanted)
        kept = [letter for letter, fault in zip(hand.wanted, faults, strict=True) if fault]
        found, done = len(hand.wanted), len(hand.wanted) - len(kept)
        note = next((fault for fault in reversed(faults) if fault), None)
        if self._goes_on(job, queue, hand, len(kept)):
            cursor = _next(job.cursor, is_idle=hand.is_last and not hand.wanted)
            pause_s = PAUSE_S * 2 ** _idle_pages(job.cursor) if hand.is_last else 0
            return Progress(cursor, found, done, note, pause_s)
        queue.put_down([*hand.others, *kept])
        missing = max(len(job.message_ids) - job.found - found, 0)
        if missing:
            note = f"{missing} of the messages are not in the dead-letter queue"
        return Progress(AT_END, found + missing, done, note)

    def _take(self, job: BulkJob, queue: DeadLetterQueue, limit: int) -> _Hand:
        hand = _Hand()
        while len(hand.wanted) < limit and len(hand.others) < _LOOKED_AT:
            left = limit - len(hand.wanted)
            letters = queue.receive(left, hidden_s=_HIDDEN_S, wait_s=self.wait_s)
            if not letters:
                hand.is_last = True
                break
            for letter in letters:
                (hand.wanted if self._is_wanted(job, letter) else hand.others).append(letter)
        return hand

    def _is_wanted(self, job: BulkJob, letter: DeadLetter) -> bool:
        if not job.from_ms <= letter.sent_ms < job.until_ms:
            return False
        if job.message_ids and letter.id not in job.message_ids:
            return False
        subject = Subject.of(letter, job.function_id)
        return job.env == (subject.env if subject else self.default_env)

    def _goes_on(self, job: BulkJob, queue: DeadLetterQueue, hand: _Hand, kept: int) -> bool:
        """Whether there may be more for the job than it has met."""
        if job.message_ids and job.found + len(hand.wanted) >= len(job.message_ids):
            return False
        if not hand.is_last:
            return True
        # Who looks at letters has them in hand, and puts them down soon.
        by_others = queue.depth().in_hand - len(hand.others) - kept
        return by_others > 0 and _idle_pages(job.cursor) < PATIENCE


def _act(job: BulkJob, queue: DeadLetterQueue, letter: DeadLetter) -> str | None:
    """Act on a letter; gives what kept it from being done."""
    if job.kind == JobKind.DEAD_LETTER_DELETION:
        queue.delete(letter)
    elif not letter.is_whole:
        return f"message {letter.id}: Scheduler left only a part of it here"
    else:
        queue.send_back(letter)
    return None


def _next(cursor: str, *, is_idle: bool) -> str:
    """The cursor behind a page: how many there were, and how many found nothing since one did."""
    page = int(cursor.partition(".")[0] or 0)
    return f"{page + 1}.{_idle_pages(cursor) + 1 if is_idle else 0}"


def _idle_pages(cursor: str) -> int:
    return int(cursor.partition(".")[2] or 0)
