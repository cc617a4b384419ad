"""Cron triggers: functions that start at times instead of by events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

MAX_CRON_LENGTH = 255
MIN_JITTER_MS = 1_000
MAX_JITTER_MS = 300_000

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:ms|s|m|h))+")
_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_JITTER_FORMS = "a timedelta, a number of milliseconds or a text like '90s'"


@dataclass(frozen=True, kw_only=True)
class TriggerCron:
    """Starts a function at the times of a cron expression.

    It is checked when the function is registered, whose file and line the error then names.

    Attributes:
        cron: five fields, minute, hour, day of month, month and day of week, such as
            `0 9 * * MON-FRI`; in UTC, unless `TZ=Europe/Berlin ` stands before them.
        jitter: spreads the runs over this long behind each time, 1 second to 5 minutes: a
            timedelta, a number of milliseconds or a text like `90s`. The same time always gets the
            same delay.
    """

    cron: str
    jitter: timedelta | int | str | None = None

    @property
    def jitter_ms(self) -> int:
        """The jitter in milliseconds; 0 when there is none.

        Raises:
            ValueError: it is no duration.
        """
        if self.jitter is None:
            return 0
        if isinstance(self.jitter, timedelta):
            return self.jitter // timedelta(milliseconds=1)
        if isinstance(self.jitter, int) and not isinstance(self.jitter, bool):
            return self.jitter
        if isinstance(self.jitter, str) and _DURATION.fullmatch(self.jitter):
            return sum(int(n) * _UNITS_MS[unit] for n, unit in _PART.findall(self.jitter))
        raise ValueError(f"jitter={self.jitter!r} is no duration; use {_JITTER_FORMS}")

    def fault(self) -> str | None:
        """What is wrong with it and what to do; None when it can be."""
        # Only here, so that apps without crons do not load the parser.
        from tidegate.cron_expression import CronExpression

        if not isinstance(self.cron, str):
            return f"cron={self.cron!r} is no text; write it as '0 9 * * MON-FRI'"
        if len(self.cron) > MAX_CRON_LENGTH:
            return f"the cron has {len(self.cron)} characters; at most {MAX_CRON_LENGTH}"
        try:
            CronExpression.parse(self.cron)
            jitter_ms = self.jitter_ms
        except ValueError as error:
            return str(error)
        if self.jitter is not None and not MIN_JITTER_MS <= jitter_ms <= MAX_JITTER_MS:
            return f"jitter={self.jitter!r} is not between 1 second and 5 minutes"
        return None
