"""A real `cdk bootstrap` and `cdk deploy`, against an AWS in this machine's memory.

moto's CloudFormation passes over what it does not know: subscriptions, queue, topic and bucket
policies, the HTTP API, alarms, the schedule group, and a table's TTL and recovery. Those are
checked in the template.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tidegate.manifest import BATCH_SIZE, HANDLERS, MAX_CONCURRENCY, TABLES, Manifest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CDK = ROOT / "node_modules" / ".bin" / "cdk"
ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of a moto server, spelled `localhost`: the CDK's S3 client needs a name."""
    with subprocess.Popen(
        [BIN / "moto_server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield next(
                f"http://localhost:{found[1]}"
                for line in server.stderr or ()
                if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line))
            )
        finally:
            server.kill()


def cdk(endpoint: str, *arguments: str | Path) -> str:
    """What the CDK's command line prints; nothing in its environment leads to a real account."""
    assert CDK.exists(), "the CDK's command line is not installed: run `npm ci`"
    done = subprocess.run(
        [CDK, *arguments, "--no-notices"],
        cwd=ROOT,
        env={
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Deployment:
    """The app of `cdk.json`, deployed as stage `trial`.

    Attributes:
        endpoint: where its AWS is.
        manifest: what its Lambdas find in their code.
    """

    endpoint: str
    manifest: Manifest

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@pytest.fixture(scope="module")
def deployment(
    endpoint: str, synthesis: Any, tmp_path_factory: pytest.TempPathFactory
) -> Deployment:
    cdk(endpoint, "bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", synthesis.folder)
    output = tmp_path_factory.mktemp("cdk.out")
    choices = ["--context=stage=trial", "--context=function_timeout=60", f"--output={output}"]
    cdk(endpoint, "deploy", "--require-approval=never", "--method=direct", *choices)
    [manifest] = output.glob("asset.*/manifest.json")
    return Deployment(endpoint, Manifest.read(manifest))


def test_the_stack_is_complete(deployment: Deployment) -> None:
    stacks = deployment.client("cloudformation").describe_stacks(StackName="Tidegate-trial")
    [stack] = stacks["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert set(outputs) == {"Bucket", "KeysTable", "Url"}
    assert outputs["KeysTable"] in deployment.client("dynamodb").list_tables()["TableNames"]


def test_the_tables_are_there(deployment: Deployment) -> None:
    dynamodb = deployment.client("dynamodb")
    found = []
    for name in dynamodb.list_tables()["TableNames"]:
        table = dynamodb.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        found.append([key["AttributeName"] for key in table["KeySchema"]])
    assert sorted(found) == sorted(
        [key for key in (table.partition_key, table.sort_key) if key] for table in TABLES
    )


def test_the_topic_and_the_queues_are_there(deployment: Deployment) -> None:
    assert len(deployment.client("sns").list_topics()["Topics"]) == 1
    sqs = deployment.client("sqs")
    urls = sqs.list_queues()["QueueUrls"]
    assert len(urls) == 2 * len(deployment.manifest.functions)
    for url in urls:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        if "DeadLetters" in url:
            assert found["MessageRetentionPeriod"] == "1209600"
        else:
            assert found["VisibilityTimeout"] == "360"
            assert "DeadLetters" in found["RedrivePolicy"]


def test_the_lambdas_are_there_and_each_worker_reads_its_queue(deployment: Deployment) -> None:
    functions = deployment.client("lambda").list_functions()["Functions"]
    assert {f["Handler"] for f in functions} == {f"{m}.handler" for m in HANDLERS.values()}
    mappings = {
        mapping["FunctionArn"]: mapping
        for mapping in deployment.client("lambda").list_event_source_mappings()[
            "EventSourceMappings"
        ]
    }
    running = []
    for function in functions:
        told = function["Environment"]["Variables"]
        if "TIDEGATE_FUNCTION" in told:
            running.append(told["TIDEGATE_FUNCTION"])
            mapping = mappings.pop(function["FunctionArn"])
            assert mapping["EventSourceArn"] == told["TIDEGATE_QUEUE_ARN"]
            assert mapping["BatchSize"] == BATCH_SIZE
            assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            assert mapping["ScalingConfig"] == {"MaximumConcurrency": MAX_CONCURRENCY}
    assert sorted(running) == [function.id for function in deployment.manifest.functions]
    assert running
    assert not mappings


def test_the_code_was_uploaded(deployment: Deployment) -> None:
    s3 = deployment.client("s3")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    [assets] = [name for name in buckets if name.startswith("cdk-")]
    assert len(buckets) == 2, "and the one for large payloads"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=assets)["Contents"]]
    assert [key for key in keys if key.endswith(".zip")]
