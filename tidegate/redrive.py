"""Jobs about dead letters: back into their function's queue with them, or away, all or some.

A page of such a job takes letters into hand and acts on those that the job is about; the job ends
when there are no more. Letters that die again were sent after the job was asked for, so it does not
meet them twice. A page that is cut off loses its count, but no letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.aws import concurrently
from tidegate.bulk_job import AT_END, BulkJob, JobKind, Progress
from tidegate.clock import Clock
from tidegate.dead_letters import DeadLetter, DeadLetterQueue, Subject
from tidegate.errors import PlatformError
from tidegate.queue_directory import QueueDirectory

# As many as SQS gives at once.
_AT_ONCE = 10
# How many letters that it leaves alone a page looks at.
_LOOKED_AT = 500
# For how long nobody else sees what a job has left alone, unless it ends before, in seconds.
HIDDEN_S = 120
_SLOT_S = 10
# When for so long none was found that a job is about, there is none: all others came by twice.
MOST_SWEPT_S = 2 * HIDDEN_S
# When others have in hand what is left, a job asks again, after so many seconds and twice that each
# time: all in all for longer than letters are out of sight of which a lost answer had told.
PATIENCE = 5
PAUSE_S = 5


@dataclass
class _Hand:
    """What a page has taken.

    Attributes:
        wanted: what its job is about.
        beyond: what it is about, too, but is more than a page acts on.
        others: what it is not about.
        is_last: whether there was no more.
    """

    wanted: list[DeadLetter] = field(default_factory=list)
    beyond: list[DeadLetter] = field(default_factory=list)
    others: list[DeadLetter] = field(default_factory=list)
    is_last: bool = False


@dataclass(frozen=True)
class _Place:
    """Where a job is, as its cursor has it.

    Attributes:
        page: how many pages there were.
        found_s: when a page last found something, or the first one began, UTC seconds.
        idle: how many of them found nothing since one did.
        left: how many letters it has left alone that nobody sees before they come back, by when
            they do, UTC seconds.
    """

    page: int = 0
    idle: int = 0
    left: tuple[tuple[int, int], ...] = ()
    found_s: int = 0

    @classmethod
    def of(cls, cursor: str) -> _Place:
        page, idle, left, found_s = (cursor.split(".") + [""] * 4)[:4]
        pairs = (pair.split(":") for pair in left.split(",") if pair)
        in_hand = tuple((int(back_s), int(count)) for back_s, count in pairs)
        return cls(int(page or 0), int(idle or 0), in_hand, int(found_s or 0))

    def behind(self, hand: _Hand, kept: Sequence[DeadLetter], now_s: int) -> _Place:
        """The place behind another page, which left these alone."""
        left = Counter({back_s: count for back_s, count in self.left if back_s > now_s})
        # Of the pages of a few seconds together: a cursor has no room for hundreds.
        left[(now_s + HIDDEN_S) // _SLOT_S * _SLOT_S] += len(hand.others) + len(kept)
        idle = self.idle + 1 if hand.is_last and not hand.wanted else 0
        found_s = now_s if hand.wanted or not self.found_s else self.found_s
        return _Place(self.page + 1, idle, tuple(sorted(left.items())), found_s)

    @property
    def in_hand(self) -> int:
        """How many letters the job itself has in hand."""
        return sum(count for _, count in self.left)

    def encode(self) -> str:
        """The cursor."""
        left = ",".join(f"{back_s}:{count}" for back_s, count in self.left if count)
        return f"{self.page}.{self.idle}.{left}.{self.found_s}"


@dataclass(frozen=True)
class Redriver:
    """Works on jobs about dead letters.

    Attributes:
        directory: knows the queues.
        clock: tells how long letters have been in hand.
        default_env: the environment of letters that are too damaged to say theirs.
        wait_s: how long SQS waits for a letter before it says that there are none, in seconds.
    """

    directory: QueueDirectory
    clock: Clock
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
        outcomes = concurrently(lambda letter: _outcome(job, queue, letter), hand.wanted)
        failed = _of(hand.wanted, [error is not None for _, error in outcomes])
        if failed and len(failed) == len(hand.wanted):
            raise next(error for _, error in outcomes if error is not None)
        faults = [fault for fault, _ in outcomes]
        kept = _of(hand.wanted, [fault is not None for fault in faults])
        found = len(hand.wanted) - len(failed)
        done = found - len(kept)
        note = next((fault for fault in reversed(faults) if fault), None)
        # Behind the taking, so that none is thought to come back before it does.
        place = _Place.of(job.cursor).behind(hand, kept, self.clock.now_ms() // 1000)
        if failed:
            queue.put_down(failed)
            return Progress(place.encode(), found, done, note, PAUSE_S)
        if self._goes_on(job, queue, hand, place):
            pause_s = PAUSE_S * 2 ** max(place.idle - 1, 0) if hand.is_last else 0
            return Progress(place.encode(), found, done, note, pause_s)
        queue.put_down([*hand.others, *kept])
        missing = max(len(job.message_ids) - job.found - found, 0)
        if missing:
            note = f"{missing} of the messages are not in the dead-letter queue any more"
        elif not hand.is_last and not job.message_ids:
            note = "there are more letters of other environments than can be looked at together"
        return Progress(AT_END, found + missing, done, note)

    def _take(self, job: BulkJob, queue: DeadLetterQueue, limit: int) -> _Hand:
        hand = _Hand()
        while len(hand.wanted) < limit and len(hand.others) < _LOOKED_AT:
            letters = queue.receive(_AT_ONCE, hidden_s=HIDDEN_S, wait_s=self.wait_s)
            if not letters:
                hand.is_last = True
                break
            for letter in letters:
                if not self._is_wanted(job, letter):
                    hand.others.append(letter)
                else:
                    (hand.wanted if len(hand.wanted) < limit else hand.beyond).append(letter)
        queue.put_down(hand.beyond)
        return hand

    def _is_wanted(self, job: BulkJob, letter: DeadLetter) -> bool:
        if not job.from_ms <= letter.sent_ms < job.until_ms:
            return False
        if job.message_ids and letter.id not in job.message_ids:
            return False
        subject = Subject.of(letter, job.function_id)
        return job.env == (subject.env if subject else self.default_env)

    def _goes_on(self, job: BulkJob, queue: DeadLetterQueue, hand: _Hand, place: _Place) -> bool:
        """Whether there may be more for the job than it has met."""
        if job.message_ids and job.found + len(hand.wanted) >= len(job.message_ids):
            return False
        if not hand.is_last:
            # Of those that it leaves alone there may be more than it can keep in hand at once.
            return self.clock.now_ms() // 1000 - place.found_s <= MOST_SWEPT_S
        # Who looks at letters has them in hand, and puts them down soon.
        by_others = queue.depth().in_hand - place.in_hand
        return by_others > 0 and place.idle <= PATIENCE


def _outcome(
    job: BulkJob, queue: DeadLetterQueue, letter: DeadLetter
) -> tuple[str | None, PlatformError | None]:
    """Act on a letter; gives what keeps it from being done, for good or for now."""
    try:
        return _act(job, queue, letter), None
    except PlatformError as error:
        return None, error


def _of(letters: Sequence[DeadLetter], are: Sequence[bool]) -> list[DeadLetter]:
    return [letter for letter, it_is in zip(letters, are, strict=True) if it_is]


def _act(job: BulkJob, queue: DeadLetterQueue, letter: DeadLetter) -> str | None:
    """Act on a letter; gives what kept it from being done."""
    if job.kind == JobKind.DEAD_LETTER_DELETION:
        queue.delete(letter)
    elif not letter.is_whole:
        return f"message {letter.id}: Scheduler left only a part of it here"
    else:
        queue.send_back(letter)
    return None
