"""The resources of a stage, in an AWS that lives in this process's memory.

They are made with the same boto3 calls and from the same manifest as production's, so that both
behave alike; `FunctionWiring` says what each function's queue must look like.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moto import mock_aws

from tidegate.aws import client
from tidegate.local import (
    dynamodb_speed,
    moto_gaps,
    moto_memory,
    moto_speed,
    query_speed,
    sqs_speed,
)
from tidegate.local.environment import environment
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.local.moto_clients import moto_clients
from tidegate.local.queue_parameters import write_queue_parameters
from tidegate.local.wiring import (
    PREFIX,
    FunctionWiring,
    create_topic,
    wire_function,
    wire_matcher,
)
from tidegate.manifest import TABLES, TTL_ATTRIBUTE, Manifest, Table
from tidegate.message import CronMessage
from tidegate.queue_directory import MATCHER
from tidegate.settings import Settings

BUCKET = f"{PREFIX}-payloads"

_SERVICES: tuple[Any, ...] = ("dynamodb", "s3", "scheduler", "sns", "sqs", "ssm")

# Whatever the developer's shell says, nothing here must reach a real account.
_ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_PROFILE": None,
    "AWS_DEFAULT_PROFILE": None,
    "AWS_SESSION_TOKEN": None,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
}


def _endpoint(dynamodb_url: str) -> dict[str, str | None]:
    """The environment in which DynamoDB is at that address, and nothing else elsewhere."""
    elsewhere = dict.fromkeys(f"AWS_ENDPOINT_URL_{service.upper()}" for service in _SERVICES)
    return {
        **elsewhere,
        "AWS_ENDPOINT_URL": None,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    }


class Cloud:
    """A stage in memory; between `start` and `stop` every boto3 call of the process goes there.

    Args:
        dynamodb_url: a server of DynamoDB's API that is to have the tables; without one moto has
            them. Of its tables, those of the stage are made and removed again.

    Attributes:
        wiring: by function id, how each provisioned function hangs on the topic of its shard.
        matcher: how the matcher hangs on the first topic.
        topic_arns: the topic of each shard.
        manifest_path: the file that the Lambdas read the manifest from.
    """

    def __init__(self, dynamodb_url: str | None = None) -> None:
        self.wiring: dict[str, FunctionWiring] = {}
        self._dynamodb_url = dynamodb_url
        self._undo = ExitStack()

    @property
    def tables(self) -> dict[str, str]:
        """The names of the tables, by what they hold."""
        return {table.name: _table_name(table) for table in TABLES}

    def start(self) -> None:
        """Start AWS and make what all functions share."""
        sqs_speed.install()
        dynamodb_speed.install()
        query_speed.install()
        moto_gaps.install()
        moto_memory.install()
        moto_speed.install()
        self._undo.enter_context(environment(_ENVIRONMENT))
        if self._dynamodb_url is not None:
            self._undo.enter_context(environment(_endpoint(self._dynamodb_url)))
        self._undo.enter_context(mock_aws())
        by_moto = {*_SERVICES} - ({"dynamodb"} if self._dynamodb_url is not None else set())
        self._undo.enter_context(moto_clients(by_moto))
        folder = self._undo.enter_context(TemporaryDirectory(prefix="tidegate-"))
        self.manifest_path = Path(folder) / "manifest.json"
        for table in TABLES:
            _create_table(table)
            if self._dynamodb_url is not None:
                self._undo.callback(_delete_table, table)
        self.topic_arns: tuple[str, ...] = (create_topic(0),)
        self.matcher = wire_matcher(self.topic_arns[0])
        client("s3").create_bucket(Bucket=BUCKET)
        client("scheduler").create_schedule_group(Name=PREFIX)

    def stop(self) -> None:
        """Forget everything; boto3 calls go to AWS again."""
        sqs_speed.wake_receivers()
        self._undo.close()
        self.wiring = {}

    def provision(self, manifest: Manifest) -> None:
        """Make what the manifest's functions need; as a deployment does, change what has changed.

        New functions get queues, a subscription and schedules, changed triggers change the filter
        and the schedules, and functions that were removed keep what they need to end. What is not
        in the manifest at all loses its subscription.
        """
        for function_id, before in list(self.wiring.items()):
            if manifest.deployed_function(function_id) is None:
                client("sns").unsubscribe(SubscriptionArn=before.subscription_arn)
                del self.wiring[function_id]
        self.topic_arns = tuple(create_topic(shard) for shard in range(manifest.shards))
        for function in manifest.deployed:
            wired = self.wiring.get(function.id)
            if wired is None or wired.function != function:
                topic_arn = self.topic_arns[function.shard]
                self.wiring[function.id] = wire_function(topic_arn, function)
                # Only now: what comes twice starts one run, what comes to no queue starts none.
                if wired is not None and wired.function.shard != function.shard:
                    client("sns").unsubscribe(SubscriptionArn=wired.subscription_arn)
        self._schedule_crons()
        urls = {one: (it.queue_url, it.dead_letter_url) for one, it in self.wiring.items()}
        urls[MATCHER] = (self.matcher.queue_url, self.matcher.dead_letter_url)
        write_queue_parameters(_QUEUES_PATH, urls)
        manifest.write(self.manifest_path)

    def ingest_environment(self) -> dict[str, str]:
        """The environment variables of the ingest Lambda."""
        return self._settings().environment(
            "dedup_table", "events_table", "waits_table", "keys_table", "topic_arns", "bucket",
            "manifest", "auth", "default_env", "max_request_bytes", "retention_days",
        )  # fmt: skip

    def api_environment(self) -> dict[str, str]:
        """The environment variables of the api Lambda."""
        return self._settings().environment(
            "dedup_table", "events_table", "runs_table", "steps_table", "waits_table", "jobs_table",
            "keys_table", "topic_arns", "bucket", "manifest", "matcher_queue_url", "queues_path",
            "auth", "default_env", "max_request_bytes", "retention_days",
        )  # fmt: skip

    def worker_environment(self, function_id: str) -> dict[str, str]:
        """The environment variables of a function's worker Lambda."""
        return self._settings(self.wiring[function_id]).environment(
            "function", "dedup_table", "events_table", "runs_table", "steps_table", "waits_table",
            "topic_arns", "bucket", "manifest", "queue_url", "queue_arn", "dead_letter_url",
            "dead_letter_arn", "matcher_queue_url", "schedule_group", "schedule_role_arn",
            "retention_days",
        )  # fmt: skip

    def matcher_environment(self) -> dict[str, str]:
        """The environment variables of the matcher Lambda."""
        return self._settings().environment(
            "events_table", "runs_table", "steps_table", "waits_table", "jobs_table", "topic_arns",
            "bucket", "manifest", "matcher_queue_url", "queues_path", "schedule_group",
            "default_env", "retention_days",
        )  # fmt: skip

    def _settings(self, wiring: FunctionWiring | None = None) -> Settings:
        values: dict[str, Any] = {f"{what}_table": name for what, name in self.tables.items()}
        if wiring is not None:
            values |= {
                "function": wiring.function.id,
                "queue_url": wiring.queue_url,
                "queue_arn": wiring.queue_arn,
                "dead_letter_url": wiring.dead_letter_url,
                "dead_letter_arn": wiring.dead_letter_arn,
            }
        return Settings(
            topic_arns=self.topic_arns,
            bucket=BUCKET,
            matcher_queue_url=self.matcher.queue_url,
            queues_path=_QUEUES_PATH,
            manifest=str(self.manifest_path),
            auth="open",
            default_env=_ENV,
            schedule_group=PREFIX,
            schedule_role_arn=_SCHEDULE_ROLE,
            **values,
        )

    def _schedule_crons(self) -> None:
        """Let there be a schedule for each expression of the functions' crons, and no others."""
        scheduler = client("scheduler")
        wanted = {
            schedule["Name"]: schedule
            for wiring in self.wiring.values()
            for schedule in _cron_schedules(wiring)
        }
        pages = scheduler.get_paginator("list_schedules").paginate(
            GroupName=PREFIX, NamePrefix=_CRON_PREFIX
        )
        there = {schedule["Name"] for page in pages for schedule in page["Schedules"]}
        for name in there - wanted.keys():
            scheduler.delete_schedule(GroupName=PREFIX, Name=name)
        for name in wanted.keys() - there:
            scheduler.create_schedule(**wanted[name])


_QUEUES_PATH = f"/{PREFIX}/queues"
_ENV = "dev"
_SCHEDULE_ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/{PREFIX}-scheduler"
_CRON_PREFIX = "cron-"


def _cron_schedules(wiring: FunctionWiring) -> Iterator[dict[str, Any]]:
    """The schedules of a function's crons, as Scheduler's API takes them.

    A schedule's name is a hash of all that it consists of, so one that has changed is another one.
    """
    for cron in wiring.function.crons:
        for expression in cron.schedules:
            what = "\n".join((wiring.function.id, cron.cron, cron.timezone, expression))
            yield {
                "GroupName": PREFIX,
                "Name": _CRON_PREFIX + hashlib.sha256(what.encode()).hexdigest()[:32],
                "ScheduleExpression": expression,
                "ScheduleExpressionTimezone": cron.timezone,
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {
                    "Arn": wiring.queue_arn,
                    "RoleArn": _SCHEDULE_ROLE,
                    "Input": CronMessage.template(cron.cron, _ENV),
                    "DeadLetterConfig": {"Arn": wiring.dead_letter_arn},
                },
            }


def _create_table(table: Table) -> None:
    keys = [(table.partition_key, "HASH")]
    if table.sort_key is not None:
        keys.append((table.sort_key, "RANGE"))
    dynamodb = client("dynamodb")
    name = _table_name(table)
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],  # type: ignore[typeddict-item]
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_time_to_live(
        TableName=name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
    )


def _delete_table(table: Table) -> None:
    dynamodb = client("dynamodb")
    with suppress(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.delete_table(TableName=_table_name(table))


def _table_name(table: Table) -> str:
    return f"{PREFIX}-{table.name}"
