"""Admission: from checked events to stored and published ones, such that none is lost.

A 200 is a promise, so this returns only when every event is stored and published, and whatever
was done before a failure is safe to repeat:

    without a sender's `id`   store ──▶ publish             the seed gives the same ids again
    with one                  claim ──▶ publish ──▶ store   the stored event proves it was published

A duplicate whose original is stored is ignored. One whose original is not stored yet (its sender
died, or is a moment ahead) is published and stored under the original's internal id, and consumers
collapse it: a run's id is derived from the event's.

Beside the first of these steps, whichever it is, it is asked whether a run waits for events of that
name. A wait that is stored after that finds the event in the store, where it looks for the time
that this may take.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tidegate.batch import chunks
from tidegate.clock import Clock
from tidegate.concurrency import concurrently
from tidegate.errors import PlatformError
from tidegate.event import PROBE, RESERVED_PREFIX, AcceptedEvent, CheckedEvent, check_events
from tidegate.ids import Seed, ulid_ms
from tidegate.message import EventMessage
from tidegate.observer import NOBODY, Observer
from tidegate.stores import MAX_PUT, Claim, Dedup, Events, Topic, Waits

if TYPE_CHECKING:
    from tidegate.event_model import Event

logger = logging.getLogger("tidegate.admission")

# A new wait looks for past events by the times of their ids, give or take a few seconds.
_SKEWED_MS = 1_000
# A new wait looks for events that were asked about this long ago, and somewhat longer.
_ASK_AGAIN_MS = 20_000
# Longer than a request may take: what was claimed this long ago is stored, or was given up.
_SETTLED_MS = 30_000

# An environment and an event's name.
Name = tuple[str, str]


@dataclass(frozen=True)
class Admission:
    """Admits events.

    Attributes:
        dedup: the table of sender's ids.
        store: where events are kept.
        bus: where they are published.
        waits: what runs wait for.
        clock: the time.
        observer: is told how many events came.
    """

    dedup: Dedup
    store: Events
    bus: Topic
    waits: Waits
    clock: Clock
    observer: Observer = NOBODY

    def admit(
        self,
        env: str,
        events: Sequence[CheckedEvent],
        seed: Seed | None,
        *,
        is_limited: bool = False,
    ) -> list[str]:
        """The internal ids of the events, in order, once all are stored and published.

        Args:
            env: the environment they belong to.
            events: checked events.
            seed: the sender's seed; the same seed gives the same ids.
            is_limited: whether the sender may send events of some names only. Then an `id` of its
                events holds back none of another name, nor the other way round.

        Raises:
            PlatformError: it did not succeed; repeating the call is safe.
        """
        ids, new = self._admit(env, events, seed, is_limited=is_limited)
        self.observer.events_received(new)
        self.observer.events_duplicate(len(ids) - new)
        return ids

    def _admit(
        self,
        env: str,
        events: Sequence[CheckedEvent],
        seed: Seed | None,
        *,
        is_limited: bool = False,
    ) -> tuple[list[str], int]:
        """The internal ids of the events, and how many of these are no duplicates."""
        now_ms = self.clock.now_ms()
        seed = seed or Seed.random(now_ms)
        accepted = [
            event.accept(seed.ulid(number), env, now_ms)
            for number, event in enumerate(events, start=1)
        ]
        claims, awaited = self._claim(accepted, is_limited=is_limited)
        new = self._without_duplicates(accepted, claims)
        self._deliver(new, awaited, now_ms)
        return [_owner(event, claims) for event in accepted], len(new)

    def send(self, env: str, events: Sequence[Event], seed: Seed) -> list[str]:
        """The internal ids of events that a run sends, once all are stored and published.

        Args:
            env: the environment of the run.
            events: what the function passed.
            seed: the same at every attempt of the run.

        Raises:
            RequestError: an event is not valid; the message names it by its index.
            PlatformError: it did not succeed; repeating the call is safe.
        """
        checked = check_events([event.model_dump() for event in events])
        ids, new = self._admit(env, checked, seed)
        self.observer.events_sent(new)
        return ids

    def deliver(self, events: Sequence[AcceptedEvent]) -> None:
        """Store and publish events, in the order that fits each.

        Raises:
            PlatformError: not all were stored and published; repeating the call is safe.
        """
        self._deliver(events, {}, self.clock.now_ms())

    def deliver_to(self, function_id: str, event: AcceptedEvent) -> None:
        """Store an event and publish it to one function alone.

        Raises:
            PlatformError: it was not stored or published; repeating the call is safe.
        """
        self.store.put_payloads([event])
        self.store.put([event])
        self.bus.send_to(function_id, EventMessage.of(event))
        _log_received(event)

    def _deliver(
        self, events: Sequence[AcceptedEvent], awaited: Mapping[Name, bool], asked_ms: int
    ) -> None:
        """Store and publish events; of some names it is known whether they are awaited.

        Args:
            events: the events.
            awaited: whether a run waits for events of a name.
            asked_ms: when that was asked, UTC ms.
        """
        self.store.put_payloads(events)
        without_id = [event for event in events if event.sender_id is None]
        storing = [partial(self.store.put, chunk) for chunk in chunks(without_id, MAX_PUT)]
        awaited = {**awaited, **self._ask(_names(events) - awaited.keys(), beside=storing)}
        self._publish(events, awaited)
        self.store.put([event for event in events if event.sender_id is not None])
        is_late = self.clock.now_ms() - asked_ms > _ASK_AGAIN_MS
        # Who began to wait since then may no longer look for events that come so late, and does not
        # find those whose ids carry another time: that of a sender's clock, or of a sending run.
        again = [event for event in events if is_late or _is_skewed(event)]
        if again:
            unknown = {name for name in _names(again) if not awaited.get(name)}
            late = self._ask(unknown)
            self._publish([event for event in again if late.get((event.env, event.name))], late)
        for event in events:
            _log_received(event)

    def _ask(
        self, names: Iterable[Name], beside: Sequence[Callable[[], object]] = ()
    ) -> dict[Name, bool]:
        """Whether runs wait for events of some names; other calls are made meanwhile."""
        asked = list(names)
        asking = [partial(self.waits.is_awaited, *name) for name in asked]
        calls: list[Callable[[], object]] = [*beside, *asking]
        answers = concurrently(lambda call: call(), calls)[len(beside) :]
        return {name: bool(answer) for name, answer in zip(asked, answers, strict=True)}

    def _publish(self, events: Sequence[AcceptedEvent], awaited: Mapping[Name, bool]) -> None:
        # No run waits for a probe, and yet the matcher is to have it.
        matched = {e.internal_id for e in events if awaited.get((e.env, e.name)) or e.name == PROBE}
        self.bus.publish(events, matched)

    def _claim(
        self, events: Sequence[AcceptedEvent], *, is_limited: bool
    ) -> tuple[dict[str, Claim], dict[Name, bool]]:
        """Who owns each sender's id, and whether the names of these events are awaited.

        The first event of a request claims for all that have the id.
        """
        first: dict[str, AcceptedEvent] = {}
        for event in events:
            if event.sender_id is not None:
                first.setdefault(event.sender_id, event)
        claims: dict[str, Claim] = {}

        def claim(event: AcceptedEvent, sender_id: str) -> None:
            def claimed(internal_id: str, *, by_name: bool = False) -> Claim:
                return self.dedup.claim(
                    event.env,
                    sender_id,
                    internal_id,
                    event.name,
                    event.received_ms,
                    is_limited=is_limited,
                    by_name=by_name,
                )

            if not is_limited:
                claims[sender_id] = claimed(event.internal_id)
                return
            # Who is let send `web/*` alone must not keep `billing/paid` away by taking its id, so
            # that takes it over; this is what such a sender's own repetitions then find.
            own = claimed(event.internal_id, by_name=True)
            found = claimed(own.internal_id)
            found = found if found.event_name == event.name else own
            claims[sender_id] = replace(found, is_first=found.internal_id == event.internal_id)

        claiming = [partial(claim, event, sender_id) for sender_id, event in first.items()]
        awaited = self._ask(_names(first.values()), beside=claiming)
        return claims, awaited

    def _without_duplicates(
        self, events: Sequence[AcceptedEvent], claims: dict[str, Claim]
    ) -> list[AcceptedEvent]:
        """The events to deliver, those that others own under their owner's internal id."""
        deliver: list[AcceptedEvent] = []
        doubtful: list[AcceptedEvent] = []
        seen: set[str] = set()
        for event in events:
            if event.sender_id is None:
                deliver.append(event)
            elif event.sender_id in seen:
                _log_duplicate(event, _owner(event, claims))
            elif claims[event.sender_id].is_first:
                deliver.append(event)
            else:
                doubtful.append(replace(event, internal_id=_owner(event, claims)))
            seen.add(event.sender_id or "")
        stored = concurrently(lambda e: self.store.contains(e.env, e.internal_id), doubtful)
        for event, is_stored in zip(doubtful, stored, strict=True):
            if is_stored:
                _log_duplicate(event, event.internal_id)
            else:
                self._check_settled(event, claims[event.sender_id or ""])
                deliver.append(event)
        return deliver

    def _check_settled(self, event: AcceptedEvent, claim: Claim) -> None:
        """Raise while an event of another name may be on its way under the same id.

        Published now, this one would start other functions under the internal id of that one. A
        moment later that one is stored, or its sender has given up.
        """
        age_ms = self.clock.now_ms() - claim.first_ms
        if claim.event_name != event.name and age_ms < _SETTLED_MS:
            raise PlatformError(
                f"an event {claim.event_name!r} with the id of this {event.name!r} is on its way"
            )


def _names(events: Iterable[AcceptedEvent]) -> set[Name]:
    """The names that a run may wait for."""
    waited_for = (e for e in events if not e.name.startswith(RESERVED_PREFIX) and e.name != PROBE)
    return {(e.env, e.name) for e in waited_for}


def _is_skewed(event: AcceptedEvent) -> bool:
    return abs(ulid_ms(event.internal_id) - event.received_ms) > _SKEWED_MS


def _owner(event: AcceptedEvent, claims: dict[str, Claim]) -> str:
    if event.sender_id is None:
        return event.internal_id
    return claims[event.sender_id].internal_id


def _log_received(event: AcceptedEvent) -> None:
    logger.info(
        "event received",
        extra={"event_id": event.internal_id, "event_name": event.name, "env": event.env},
    )


def _log_duplicate(event: AcceptedEvent, owner: str) -> None:
    logger.info(
        "event duplicate",
        extra={"event_id": owner, "event_name": event.name, "sender_id": event.sender_id},
    )
