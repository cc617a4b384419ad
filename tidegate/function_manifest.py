"""A function as it is deployed: what the stack, the dev server and the Lambdas know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidegate.errors import ConfigurationError
from tidegate.event_pattern import alone_name, filter_policy, matches
from tidegate.expression import Expression, compile_expression

if TYPE_CHECKING:
    from tidegate.cancel import Cancel
    from tidegate.cron import TriggerCron
    from tidegate.function import Function
    from tidegate.trigger import TriggerEvent

# How often a function can be tried again.
MAX_RETRIES = 20


@dataclass(frozen=True)
class TriggerManifest:
    """An event trigger as it is deployed.

    Attributes:
        event: the pattern of the events' names.
        expression: what the events must be like, in CEL.
    """

    event: str
    expression: str | None = None

    @classmethod
    def of(cls, trigger: TriggerEvent[Any]) -> TriggerManifest:
        """The manifest of a registered function's trigger."""
        return cls(trigger.event, trigger.expression)

    def matches(self, name: str) -> bool:
        """Whether an event of that name may start the function: its expression comes after."""
        return matches(self.event, name)


@dataclass(frozen=True)
class CronManifest:
    """A cron trigger as it is deployed.

    Attributes:
        cron: the expression, as the function has it.
        jitter_ms: how far its runs are spread behind each time.
        timezone: the zone of the expressions below.
        schedules: the expressions that together name its times for EventBridge Scheduler.
    """

    cron: str
    jitter_ms: int
    timezone: str
    schedules: tuple[str, ...]

    @classmethod
    def of(cls, trigger: TriggerCron) -> CronManifest:
        """The manifest of a registered function's cron trigger."""
        # Only here: who reads a manifest needs no parser of crons.
        from tidegate.cron_expression import CronExpression

        expression = CronExpression.parse(trigger.cron)
        return cls(
            cron=trigger.cron,
            jitter_ms=trigger.jitter_ms,
            timezone=expression.timezone,
            schedules=expression.scheduler_expressions,
        )


@dataclass(frozen=True)
class CancelManifest:
    """An event that cancels a function's runs, as it is deployed.

    Attributes:
        event: its name.
        if_exp: what it must be like, in CEL.
        timeout_ms: how long after a run's beginning it can cancel it, if not a year.
    """

    event: str
    if_exp: str | None = None
    timeout_ms: int | None = None

    @classmethod
    def of(cls, cancel: Cancel) -> CancelManifest:
        """The manifest of what a registered function is cancelled by."""
        return cls(cancel.event, cancel.if_exp, cancel.timeout)


@dataclass(frozen=True)
class TimeoutsManifest:
    """After how long a function's runs are cancelled, as it is deployed.

    Attributes:
        start_ms: how long one may wait for its first attempt.
        finish_ms: how long one may take from then on.
    """

    start_ms: int | None = None
    finish_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class FunctionManifest:
    """A function as it is deployed.

    Attributes:
        id: `<app_id>-<fn_id>`.
        app_id: the app it belongs to.
        name: what people read.
        module: the module whose import registers it.
        triggers: the events that start it.
        crons: the times that start it.
        retries: how often it is tried again.
        timeout_s: how long one invocation of its Lambda may take, in seconds.
        cancel: the events that cancel its runs.
        timeouts: after how long they are cancelled.
        idempotency: the expression that gives an event's key, if it has one.
        on_failure: the id of the function that is started when a run has failed for good.
        expressions: those of its triggers, its cancels and its idempotency, read already, so that
            no Lambda has to.
        shard: which of the stage's topics its queue is subscribed to.
        is_removed: whether it is gone from the code. Its queue is still there, so that its runs
            that wait end, and are seen to.
    """

    id: str
    app_id: str
    name: str
    module: str
    triggers: tuple[TriggerManifest, ...]
    crons: tuple[CronManifest, ...] = ()
    retries: int
    timeout_s: int
    cancel: tuple[CancelManifest, ...] = ()
    timeouts: TimeoutsManifest = TimeoutsManifest()
    idempotency: str | None = None
    on_failure: str | None = None
    expressions: tuple[Expression, ...] = ()
    shard: int = 0
    is_removed: bool = False

    @classmethod
    def of(cls, function: Function, timeout_s: int) -> FunctionManifest:
        """The manifest of a registered function.

        Args:
            function: the function.
            timeout_s: how long one invocation may take, in seconds.

        Raises:
            ConfigurationError: an expression cannot be read; with the function's file and line.
        """
        return cls(
            id=function.id,
            app_id=function.app_id,
            name=function.name,
            module=function.module,
            triggers=tuple(TriggerManifest.of(one) for one in function.triggers),
            crons=tuple(CronManifest.of(cron) for cron in function.crons),
            retries=function.retries,
            timeout_s=timeout_s,
            cancel=tuple(CancelManifest.of(one) for one in function.cancel),
            timeouts=TimeoutsManifest(function.timeouts.start, function.timeouts.finish),
            idempotency=function.idempotency,
            on_failure=function.on_failure.id if function.on_failure else None,
            expressions=_expressions(function),
        )

    @classmethod
    def of_removed(cls, function_id: str, app_id: str, timeout_s: int) -> FunctionManifest:
        """The manifest of a function of which there is no more than its id, and its queue.

        Args:
            function_id: its id.
            app_id: the app that it was of, as far as that can be told.
            timeout_s: as of the other functions.
        """
        return cls(
            id=function_id,
            app_id=app_id,
            name=function_id,
            module="",
            triggers=(),
            retries=0,
            timeout_s=timeout_s,
            is_removed=True,
        )

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> FunctionManifest:
        """The manifest in what was a JSON object."""
        parts = {
            "triggers": tuple(TriggerManifest(**one) for one in fields["triggers"]),
            "crons": tuple(
                CronManifest(**{**one, "schedules": tuple(one["schedules"])})
                for one in fields["crons"]
            ),
            "cancel": tuple(CancelManifest(**one) for one in fields["cancel"]),
            "timeouts": TimeoutsManifest(**fields["timeouts"]),
            "expressions": tuple(Expression(**one) for one in fields["expressions"]),
        }
        return cls(**{**fields, **parts})

    @cached_property
    def filter_policy(self) -> dict[str, list[Any]]:
        """The filter of its queue's subscription to the topic.

        It lets through what starts the function, and what is sent to this function alone.
        """
        trees = {expression.text: expression.tree for expression in self.expressions}
        return filter_policy(self.triggers, alone_name(self.id), trees)

    @property
    def filter_attributes(self) -> list[str]:
        """The message attributes that the filter looks at, besides `name`."""
        return [attribute for attribute in self.filter_policy if attribute != "name"]

    @property
    def visibility_timeout_s(self) -> int:
        """Six times the function's timeout, as Lambda's documentation advises for SQS sources."""
        return 6 * self.timeout_s

    @property
    def max_receive_count(self) -> int:
        """How often a message is received before it is dead.

        Each attempt may end in a crash and a redelivery, so there are always more receives than
        attempts; the others are for faults of the platform. How many attempts a function had that
        is gone nobody knows, and none of its messages is to die of that.
        """
        return (MAX_RETRIES if self.is_removed else self.retries) + 10

    def is_of(self, app_id: str) -> bool:
        """Whether it belongs to an app; of one that is gone its id is all that tells."""
        return self.app_id == app_id or (self.is_removed and self.id.startswith(f"{app_id}-"))


def _expressions(function: Function) -> tuple[Expression, ...]:
    texts = [trigger.expression for trigger in function.triggers]
    texts += [cancel.if_exp for cancel in function.cancel]
    try:
        return tuple(
            compile_expression(text)
            for text in dict.fromkeys([*texts, function.idempotency])
            if text is not None
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{function.source}: function {function.id!r}: {error}") from None
