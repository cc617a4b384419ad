"""A run as an item of the runs table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.attempt import decode_attempts, encode_attempts
from tidegate.partition import item_key
from tidegate.run import Run, Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value


def item_of(run: Run, retention_s: int) -> dict[str, Value]:
    """The item of a run that has not ended, kept for some seconds from when it is due."""
    kept_from_ms = max(run.queued_ms, run.due_ms or 0)
    item: dict[str, Value] = {
        **item_key(run.env, run.id),
        "function_id": {"S": run.function_id},
        "event_id": {"S": run.event_id},
        "status": {"S": run.status},
        "attempt": {"N": str(run.attempt)},
        "queued_ms": {"N": str(run.queued_ms)},
        "lease": {"S": run.lease},
        "lease_until_ms": {"N": str(run.lease_until_ms)},
        "counted_ms": {"N": str(run.counted_ms)},
        "expires_at": {"N": str(kept_from_ms // 1000 + retention_s)},
    }
    for name, number in (
        ("started_ms", run.started_ms),
        ("leased_ms", run.leased_ms),
        ("due_ms", run.due_ms),
    ):
        if number is not None:
            item[name] = {"N": str(number)}
    if run.cancels:
        item["cancels"] = {"L": [{"S": name} for name in run.cancels]}
    for name, text in (
        ("original_run_id", run.original_run_id),
        ("replay_id", run.replay_id),
        ("event_name", run.event_name or None),
        ("cron", run.cron),
        ("attempts", encode_attempts(run.attempts) if run.attempts else None),
    ):
        if text is not None:
            item[name] = {"S": text}
    return item


def run_of(env: str, item: Mapping[str, Any]) -> Run:
    """The run in an item of the table; a large output stays in the bucket."""

    def number(name: str) -> int | None:
        return int(item[name]["N"]) if name in item else None

    def text(name: str) -> str | None:
        return str(item[name]["S"]) if name in item else None

    return Run(
        id=item["sk"]["S"],
        env=env,
        function_id=item["function_id"]["S"],
        event_id=item["event_id"]["S"],
        status=Status(item["status"]["S"]),
        attempt=int(item["attempt"]["N"]),
        queued_ms=int(item["queued_ms"]["N"]),
        started_ms=number("started_ms"),
        ended_ms=number("ended_ms"),
        due_ms=number("due_ms"),
        lease=item["lease"]["S"],
        lease_until_ms=int(item["lease_until_ms"]["N"]),
        leased_ms=number("leased_ms"),
        output=text("output"),
        output_key=text("output_key"),
        cancel_reason=text("cancel_reason"),
        counted_ms=number("counted_ms") or 0,
        backs_off="backs_off" in item and bool(item["backs_off"]["BOOL"]),
        cancels=tuple(name["S"] for name in item["cancels"]["L"]) if "cancels" in item else (),
        original_run_id=text("original_run_id"),
        replay_id=text("replay_id"),
        reruns=tuple(sorted(item["reruns"]["SS"])) if "reruns" in item else (),
        event_name=text("event_name") or "",
        cron=text("cron"),
        attempts=decode_attempts(text("attempts") or "[]"),
    )
