"""Whether an event is as a trigger's expression wants it."""

from __future__ import annotations

import logging

from tidegate.encoding import decode
from tidegate.event import AcceptedEvent
from tidegate.event_pattern import Trigger
from tidegate.expression import ExpressionError
from tidegate.manifest import Manifest

logger = logging.getLogger("tidegate.engine")


def holds(trigger: Trigger, event: AcceptedEvent, function_id: str, manifest: Manifest) -> bool:
    """Whether the event is as a trigger's expression wants it, at the time it came in."""
    if trigger.expression is None:
        return True
    expression = manifest.expression(function_id, trigger.expression)
    try:
        return expression.matches(event=decode(event.body), now_ms=event.received_ms)
    except ExpressionError as error:
        logger.warning(
            "expression failed: the event counts as not wanted",
            extra={
                "function_id": function_id,
                "event_id": event.internal_id,
                "event_name": event.name,
                "error": error.without_values,
            },
        )
        return False
