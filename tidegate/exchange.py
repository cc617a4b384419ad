"""What a client says to the Event API and makes of the answers: cutting, retrying, judging.

It knows neither httpx nor asyncio: `exchange` is a generator that gives the next request and is
given its answer. `tidegate.sending` drives it, in threads and in event loops alike.
"""

from __future__ import annotations

import random
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from tidegate.clock import Clock
from tidegate.context import Logger
from tidegate.encoding import decode, encode
from tidegate.errors import EventEncodingError, SendEventsError
from tidegate.event import MAX_EVENTS_PER_REQUEST
from tidegate.event_model import Event
from tidegate.ids import Seed

MAX_TRIES = 5
MAX_RETRY_AFTER_S = 30.0
JITTER_S = 0.1
_QUOTED_BYTES = 200


# --- events to requests -------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """The events of one request.

    Attributes:
        first: the index of its first event in the whole list.
        count: how many events it has.
        body: the JSON array of them.
    """

    first: int
    count: int
    body: bytes


def encode_events(events: Sequence[Event], now_ms: int) -> list[bytes]:
    """The JSON text of each event, as the Event API takes it.

    Args:
        events: the events.
        now_ms: UTC ms, the `ts` of events that have none.

    Raises:
        EventEncodingError: the message names the first bad event by its index, as `events[3]: …`.
    """
    texts = []
    for index, event in enumerate(events):
        if not isinstance(event, Event):
            raise EventEncodingError(
                f"events[{index}]: is of type {type(event).__name__}; pass Event(name=…, data=…)"
            )
        try:
            texts.append(encode(_wire_form(event, now_ms)).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise EventEncodingError(
                f"events[{index}]: cannot be written as JSON: {error}"
            ) from error
    return texts


def _wire_form(event: Event, now_ms: int) -> dict[str, Any]:
    optional = {"id": event.id, "user": event.user, "v": event.v}
    return {
        "name": event.name,
        "data": event.data,
        "ts": event.ts or now_ms,
        **{field: value for field, value in optional.items() if value},
    }


def split(
    texts: Iterable[bytes], max_bytes: int, max_events: int = MAX_EVENTS_PER_REQUEST
) -> list[Batch]:
    """The events in as few requests as keep both limits; `batches` says more."""
    return list(batches(texts, max_bytes, max_events))


def batches(
    texts: Iterable[bytes], max_bytes: int, max_events: int = MAX_EVENTS_PER_REQUEST
) -> Iterator[Batch]:
    """The events in as few requests as keep both limits, in order, as soon as each is full.

    An event that is larger than a request may be has a request of its own: the server, whose limit
    can be higher, decides.

    Args:
        texts: the JSON text of each event.
        max_bytes: the largest body of a request.
        max_events: the most events of a request.
    """
    first, size = 0, 1
    held: list[bytes] = []
    for text in texts:
        # Every text brings one byte besides itself: a comma or the closing bracket.
        if held and (len(held) == max_events or size + len(text) + 1 > max_bytes):
            yield _batch(first, held)
            first, size, held = first + len(held), 1, []
        held.append(text)
        size += len(text) + 1
    if held:
        yield _batch(first, held)


def _batch(first: int, texts: Sequence[bytes]) -> Batch:
    return Batch(first, len(texts), b"[" + b",".join(texts) + b"]")


# --- the exchange -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """One try of a request.

    Attributes:
        body: the JSON array of events.
        seed: the `x-inngest-event-id-seed` header; a repeated request has the same one.
        wait_s: how long to wait before it, in seconds.
    """

    body: bytes
    seed: str
    wait_s: float


@dataclass(frozen=True)
class Answer:
    """What came of a try.

    Attributes:
        status: the HTTP status; None when no answer came.
        body: the answer's body.
        retry_after: the `Retry-After` header.
        fault: why no answer came.
    """

    status: int | None
    body: bytes = b""
    retry_after: str = ""
    fault: str = ""

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later; 429 is a gateway that is asked too often."""
        return self.status is None or self.status == 429 or self.status >= 500


Exchange = Generator[Attempt, Answer, list[str]]


def exchange(requests: Sequence[Batch], clock: Clock, logger: Logger) -> Exchange:
    """What delivers the batches, one after the other; returns the ids of all events.

    Raises:
        SendEventsError: a batch failed for good. The batches behind it were not sent.
    """
    ids: list[str] = []
    for batch in requests:
        answer = yield from _tries(batch, clock, logger)
        accepted, fault = _verdict(answer, batch.count)
        ids += accepted
        if fault is not None:
            raise SendEventsError(_renumbered(fault, batch.first), status=answer.status, ids=ids)
    return ids


def _tries(batch: Batch, clock: Clock, logger: Logger) -> Generator[Attempt, Answer, Answer]:
    # The server counts events from 1 in each request, so each request needs a seed of its own.
    seed = Seed.random(clock.now_ms()).header
    answer = yield Attempt(batch.body, seed, wait_s=0)
    for retry in range(1, MAX_TRIES):
        if not answer.passing:
            break
        wait_s = _wait_s(answer, retry, clock.now_ms())
        said = answer.fault or f"HTTP {answer.status}"
        logger.warning("Sending events: %s; try %d in %.1f s", said, retry + 1, wait_s)
        answer = yield Attempt(batch.body, seed, wait_s)
    return answer


def _wait_s(answer: Answer, retry: int, now_ms: int) -> float:
    asked = _retry_after_s(answer.retry_after, now_ms)
    pause = 0.1 * 2 ** (retry - 1) if asked is None else min(asked, MAX_RETRY_AFTER_S)
    return pause + random.uniform(0, JITTER_S)


def _retry_after_s(header: str, now_ms: int) -> float | None:
    """The seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3), if it is one."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError):
        return None


def _verdict(answer: Answer, count: int) -> tuple[list[str], str | None]:
    """The ids that an answer reports, and what is wrong with it; None for a success."""
    if answer.status is None:
        return [], answer.fault
    try:
        reply = decode(answer.body)
    except ValueError:
        reply = None
    reply = reply if isinstance(reply, dict) else {}
    listed = reply.get("ids")
    ids = [i for i in listed if i and isinstance(i, str)] if isinstance(listed, list) else []
    success = 200 <= answer.status < 300
    if success and reply.get("error") is None and listed == ids and len(ids) == count:
        return ids, None
    for said in (reply.get("error"), reply.get("message")):
        if said and isinstance(said, str):
            return ids, said
    return ids, _described(answer, count)


def _described(answer: Answer, count: int) -> str:
    """What is wrong with an answer that does not say it itself."""
    status = answer.status or 0
    quoted = answer.body[:_QUOTED_BYTES].decode(errors="replace") or "an empty body"
    if 200 <= status < 300:
        return f"HTTP {status} without the ids of {count} events; is the base URL right? {quoted}"
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed; correct the base URL (scheme and host)"
    return f"HTTP {status}: {quoted}"


def _renumbered(fault: str, first: int) -> str:
    """The server's message with the event's index in the whole list, not in its request."""
    return re.sub(r"^events\[(\d+)\]", lambda m: f"events[{int(m[1]) + first}]", fault)
