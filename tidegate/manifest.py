"""What a stage consists of: the one description that the stack, the dev server and the API read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.encoding import decode
from tidegate.errors import ConfigurationError
from tidegate.event_pattern import alone_name, filter_policy, matches
from tidegate.expression import Expression, compile_expression
from tidegate.pushdown import MAX_ATTRIBUTES

if TYPE_CHECKING:
    from tidegate.cancel import Cancel
    from tidegate.cron import TriggerCron
    from tidegate.function import Function
    from tidegate.trigger import TriggerEvent


@dataclass(frozen=True)
class Table:
    """A DynamoDB table: on demand, string keys, TTL attribute `expires_at` (UTC seconds)."""

    name: str
    partition_key: str = "pk"
    sort_key: str | None = None


TABLES = (
    Table("dedup"),
    Table("events", sort_key="sk"),
    Table("runs", sort_key="sk"),
    Table("steps", sort_key="sk"),
    Table("waits", sort_key="sk"),
    Table("jobs", sort_key="sk"),
    Table("keys"),
)
TTL_ATTRIBUTE = "expires_at"

# The folders of the bucket, for what is needed within a day of its writing,
EVENTS = "events"
OUTPUTS = "outputs"
RUNS = "runs"
# and for what may be needed so many days later: events of delayed runs, steps of sleeping ones.
LATER = {"week": 7, "month": 31, "quarter": 92, "year": 366}
DELAYED = "delayed"
# Where an earlier version kept the outputs of steps. Runs that sleep still have some there.
_STEPS = "steps"


def bucket_lifecycle_days(retention_days: int) -> dict[str, int]:
    """After how many days the objects of each folder of the bucket are deleted.

    None is deleted before the item that leads to it expires. S3 counts from the writing on.
    """
    later = {folder: days + retention_days for folder, days in LATER.items()}
    return {
        EVENTS: 1 + retention_days,
        OUTPUTS: 1 + retention_days,
        RUNS: retention_days,
        **later,
        DELAYED: 3_650 + retention_days,
        _STEPS: 366 + retention_days,
    }


# Where the HTTP API sends a request, most special first; every path reaches one of our handlers.
ROUTES = (
    ("/v1/{proxy+}", "api"),
    ("/", "api"),
    ("/dashboard/{proxy+}", "api"),
    ("$default", "ingest"),
)

HANDLERS = {
    "ingest": "tidegate.handlers.ingest",
    "worker": "tidegate.handlers.worker",
    "matcher": "tidegate.handlers.matcher",
    "api": "tidegate.handlers.api",
}

# One Lambda invocation takes up to this many messages of a function's queue.
BATCH_SIZE = 10
MAX_CONCURRENCY = 50

# The matcher gets the events that somebody waits for, which ingest marks.
MATCHER_FILTER: dict[str, list[Any]] = {"waited": [{"exists": True}]}
MATCHER_TIMEOUT_S = 60
MATCHER_VISIBILITY_TIMEOUT_S = 6 * MATCHER_TIMEOUT_S
MATCHER_MAX_RECEIVES = 10


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
        attempts; the others are for faults of the platform.
        """
        return self.retries + 10


@dataclass(frozen=True)
class Manifest:
    """All functions of a stage."""

    functions: tuple[FunctionManifest, ...]

    @cached_property
    def _filtering(self) -> list[tuple[tuple[TriggerManifest, ...], list[str]]]:
        """The triggers and the attributes of each function that filters by more than names."""
        found = ((function.triggers, function.filter_attributes) for function in self.functions)
        return [(triggers, attributes) for triggers, attributes in found if attributes]

    @cached_property
    def shards(self) -> int:
        """How many topics there are."""
        return 1 + max((function.shard for function in self.functions), default=0)

    @cached_property
    def _shards_by_pattern(self) -> dict[str, set[int]]:
        """The shards of the functions with such a trigger."""
        found: dict[str, set[int]] = {}
        for function in self.functions:
            for trigger in function.triggers:
                found.setdefault(trigger.event, set()).add(function.shard)
        return found

    @classmethod
    def of(cls, functions: Iterable[Function], *, timeout_s: int = 120) -> Manifest:
        """The manifest of registered functions.

        Args:
            functions: the functions.
            timeout_s: how long one invocation may take, 1 to 900 seconds.

        Raises:
            ConfigurationError: an expression cannot be read; with the function's file and line.
        """
        return cls(
            functions=tuple(
                FunctionManifest(
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
                for function in sorted(functions, key=lambda function: function.id)
            )
        )

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """The manifest in a file."""
        return cls.decode(Path(path).read_bytes())

    def write(self, path: str | Path) -> None:
        """Put the manifest into a file, as JSON."""
        Path(path).write_text(self.encode())

    @classmethod
    def decode(cls, text: str | bytes) -> Manifest:
        """The manifest in a JSON text."""
        return cls(tuple(FunctionManifest.of_json(one) for one in decode(text)["functions"]))

    def encode(self) -> str:
        """JSON text of it."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    def function(self, function_id: str) -> FunctionManifest | None:
        """The function with that id, if there is one."""
        return next((f for f in self.functions if f.id == function_id), None)

    def listens_to(self, event_name: str) -> bool:
        """Whether any function is triggered by events of that name."""
        return any(t.matches(event_name) for f in self.functions for t in f.triggers)

    def shards_of(self, event_name: str) -> set[int]:
        """The shards with a function that is triggered by events of that name."""
        return {
            shard
            for pattern, shards in self._shards_by_pattern.items()
            if matches(pattern, event_name)
            for shard in shards
        }

    def expression(self, function_id: str, text: str) -> Expression:
        """An expression of a function: of a trigger, or its idempotency."""
        described = self.function(function_id)
        known = described.expressions if described else ()
        return next((one for one in known if one.text == text), None) or compile_expression(text)

    def filter_attributes(self, event_name: str) -> list[str]:
        """The message attributes, besides `name`, that subscriptions filter an event by.

        When these are more than a message can have, the others are left out: what is filtered by
        them comes through, and the worker checks it.
        """
        names = {
            attribute
            for triggers, attributes in self._filtering
            if any(trigger.matches(event_name) for trigger in triggers)
            for attribute in attributes
        }
        return sorted(names)[:MAX_ATTRIBUTES]


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
