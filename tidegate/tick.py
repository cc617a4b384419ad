"""Ticks: the event that a cron starts its function with, the same however often a tick comes."""

from __future__ import annotations

import hashlib

from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import derived_ulid
from tidegate.message import CronMessage, rfc3339_s

SCHEDULED_TIMER = "inngest/scheduled.timer"


def tick_event(tick: CronMessage, function_id: str, jitter_ms: int) -> AcceptedEvent:
    """The event of a tick. Everything about it follows from the function and the time.

    So a tick that comes twice starts one run, and so do two crons of a function that name the same
    time. Its own time, `ts`, is when it is to run; as with any event, its run waits until then.

    Args:
        tick: the message.
        function_id: whose cron it is.
        jitter_ms: over how long behind their time the cron's runs are spread.
    """
    scheduled_ms = tick.scheduled_ms
    fire_ms = scheduled_ms + _delay_ms(tick, function_id, jitter_ms)
    scheduled_at = rfc3339_s(scheduled_ms)
    return AcceptedEvent(
        internal_id=derived_ulid(scheduled_ms, SCHEDULED_TIMER, tick.env, function_id),
        env=tick.env,
        name=SCHEDULED_TIMER,
        received_ms=scheduled_ms,
        ts=fire_ms,
        body=event_body(
            name=SCHEDULED_TIMER,
            data={"cron": tick.cron, "scheduledAt": scheduled_at, "fireAt": rfc3339_s(fire_ms)},
            event_id=scheduled_at,
            ts=fire_ms,
        ),
    )


def cron_of(event: AcceptedEvent) -> str | None:
    """The expression whose tick an event stands for, if it stands for one."""
    return event.event.data["cron"] if event.name == SCHEDULED_TIMER else None


def _delay_ms(tick: CronMessage, function_id: str, jitter_ms: int) -> int:
    """Whole seconds from 0 to the jitter, by a hash that differs from function to function."""
    seed = "\x00".join((tick.env, function_id, tick.cron, str(tick.scheduled_ms)))
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return number % (jitter_ms // 1000 + 1) * 1000
