"""What a stage consists of: the one description that the stack, the dev server and the API read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.encoding import decode
from tidegate.event_pattern import matches
from tidegate.expression import Expression, compile_expression
from tidegate.function_manifest import CancelManifest as CancelManifest
from tidegate.function_manifest import CronManifest as CronManifest
from tidegate.function_manifest import FunctionManifest as FunctionManifest
from tidegate.function_manifest import TimeoutsManifest as TimeoutsManifest
from tidegate.function_manifest import TriggerManifest as TriggerManifest
from tidegate.pushdown import MAX_ATTRIBUTES

if TYPE_CHECKING:
    from tidegate.function import Function


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
class Manifest:
    """All functions of a stage.

    Attributes:
        functions: those that are registered.
        removed: those that are gone from the code. They start nothing, and nothing starts them;
            what still waits of them is ended by whoever has their queue.
    """

    functions: tuple[FunctionManifest, ...]
    removed: tuple[FunctionManifest, ...] = ()

    @property
    def deployed(self) -> tuple[FunctionManifest, ...]:
        """All that have a queue."""
        return (*self.functions, *self.removed)

    @cached_property
    def _filtering(self) -> list[tuple[tuple[TriggerManifest, ...], list[str]]]:
        """The triggers and the attributes of each function that filters by more than names."""
        found = ((function.triggers, function.filter_attributes) for function in self.functions)
        return [(triggers, attributes) for triggers, attributes in found if attributes]

    @cached_property
    def shards(self) -> int:
        """How many topics there are."""
        return 1 + max((function.shard for function in self.deployed), default=0)

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
        by_id = sorted(functions, key=lambda function: function.id)
        return cls(tuple(FunctionManifest.of(function, timeout_s) for function in by_id))

    def keeping(self, function_ids: Iterable[str], *, timeout_s: int = 120) -> Manifest:
        """The manifest, and as removed what it does not have any more of some functions.

        Args:
            function_ids: what has been deployed, now or before.
            timeout_s: how long one invocation may take, 1 to 900 seconds.
        """
        gone = sorted(set(function_ids) - {function.id for function in self.deployed})
        more = (FunctionManifest.of_removed(one, self._app_of(one), timeout_s) for one in gone)
        return Manifest(self.functions, (*self.removed, *more))

    def _app_of(self, function_id: str) -> str:
        """The app whose id a function's id begins with, of several the one with the longest."""
        apps = {function.app_id for function in self.functions}
        fitting = [app for app in apps if function_id.startswith(f"{app}-")]
        return max(fitting, key=len, default=function_id.partition("-")[0])

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
        fields = decode(text)
        functions, removed = (
            tuple(FunctionManifest.of_json(one) for one in fields[name])
            for name in ("functions", "removed")
        )
        return cls(functions, removed)

    def encode(self) -> str:
        """JSON text of it."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    def function(self, function_id: str) -> FunctionManifest | None:
        """The function with that id, if there is one."""
        return next((f for f in self.functions if f.id == function_id), None)

    def deployed_function(self, function_id: str) -> FunctionManifest | None:
        """The function with that id, if there is one or it was removed."""
        return next((f for f in self.deployed if f.id == function_id), None)

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
