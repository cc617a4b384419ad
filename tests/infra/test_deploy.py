"""A real `cdk bootstrap` and `cdk deploy`, against an AWS in this machine's memory.

moto's CloudFormation passes over what it does not know: subscriptions, queue, topic and bucket
policies, the HTTP API, alarms, the schedule group, and a table's TTL and recovery. Those are
checked in the template.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import boto3
import pytest
from inngest._internal.transforms import hash_signing_key

from tests.clock import FakeClock
from tidegate.key import Key, StoredKeys
from tidegate.keys_cli import create
from tidegate.manifest import BATCH_SIZE, HANDLERS, MAX_CONCURRENCY, TABLES, Manifest
from tidegate_cdk.config import Config

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


def environment(endpoint: str) -> dict[str, str]:
    """Of a command; nothing in it leads to a real account."""
    return {
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
    }


def cdk(endpoint: str, *arguments: str | Path) -> str:
    """What the CDK's command line prints."""
    assert CDK.exists(), "the CDK's command line is not installed: run `npm ci`"
    done = subprocess.run(
        [CDK, *arguments, "--no-notices"],
        cwd=ROOT,
        env=environment(endpoint),
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
    assert set(outputs) == {"Bucket", "FirstKey", "KeysTable", "Url"}
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
    assert len(urls) == 2 * (len(deployment.manifest.functions) + 1), "the matcher has two"
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
        is_matcher = function["Handler"] == f"{HANDLERS['matcher']}.handler"
        if "TIDEGATE_FUNCTION" in told or is_matcher:
            mapping = mappings.pop(function["FunctionArn"])
            if is_matcher:
                assert "WaitsQueue" in mapping["EventSourceArn"]
            else:
                running.append(told["TIDEGATE_FUNCTION"])
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


# --- tidegate keys --------------------------------------------------------------------------------


def create_key(deployment: Deployment, *options: str) -> subprocess.CompletedProcess[str]:
    """What `tidegate keys create` did."""
    return tidegate(deployment, "keys", "create", *options)


def tidegate(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command did."""
    return subprocess.run(
        [BIN / "tidegate", *arguments],
        # The code that is tested is the one beside the tests, wherever the command is installed.
        env=environment(deployment.endpoint) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def secret_of(done: subprocess.CompletedProcess[str]) -> str:
    """The key that it printed, and nothing else."""
    assert (done.returncode, done.stderr) == (0, "")
    [secret] = done.stdout.splitlines()
    return secret


@pytest.fixture
def keys(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> StoredKeys:
    """The stage's keys, as its Lambdas read them."""
    [stack] = deployment.client("cloudformation").describe_stacks(StackName="Tidegate-trial")[
        "Stacks"
    ]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    for module in ("key", "environments"):
        monkeypatch.setattr(f"tidegate.{module}.client", deployment.client)
    return StoredKeys(outputs["KeysTable"], FakeClock())


def test_a_created_event_key_opens_the_stage(deployment: Deployment, keys: StoredKeys) -> None:
    secret = secret_of(create_key(deployment, "--stage", "trial"))
    assert keys.find("event", secret) == Key("event", "production")
    assert keys.find("signing", secret) is None


def test_a_stage_is_found_by_the_name_of_its_stack_too(
    deployment: Deployment, keys: StoredKeys
) -> None:
    secret = secret_of(create_key(deployment, "--stage", "Tidegate-trial", "--env", "by-stack"))
    assert keys.find("event", secret) == Key("event", "by-stack")


def test_a_created_key_is_as_limited_as_asked(deployment: Deployment, keys: StoredKeys) -> None:
    limits = ["--env=branches", "--branch", "--only=shop/order.placed", "--only=app/*"]
    secret = secret_of(create_key(deployment, "--stage=trial", *limits, "--name=the web shop"))
    names = ("shop/order.placed", "app/*")
    assert keys.find("event", secret) == Key("event", "branches", branch=True, event_names=names)
    table = deployment.client("dynamodb").scan(TableName=keys.table)["Items"]
    assert "the web shop" in [item["name"]["S"] for item in table]
    assert secret not in str(table)


def test_a_created_signing_key_is_known_as_the_sdk_sends_it(
    deployment: Deployment, keys: StoredKeys
) -> None:
    secret = secret_of(create_key(deployment, "--stage=trial", "--kind=signing", "--env=eu"))
    assert secret.startswith("signkey-env-")
    for sent in (secret, hash_signing_key(secret)):
        assert keys.find("signing", sent) == Key("signing", "eu")
    assert keys.find("event", secret) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage=nowhere"], r"the stage 'nowhere' is not deployed in us-east-1"),
        (["--stage=trial", "--env=two words"], r"environment name 'two words' is not possible"),
        (["--stage=trial", "--only=*"], r"'\*' can never match"),
        (["--stage=trial", "--kind=signing", "--only=a"], r"they limit event keys alone"),
        (["--stage=trial", "--branch"], r"--branch: name an environment with --env"),
    ],
)
def test_a_key_that_cannot_be_created_is_one_line(
    deployment: Deployment, options: list[str], message: str
) -> None:
    done = create_key(deployment, *options)
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert re.search(message, line)


def test_keys_are_listed_rotated_and_revoked(deployment: Deployment, keys: StoredKeys) -> None:
    old = secret_of(create_key(deployment, "--stage=trial", "--env=rotating", "--name=[b]shop[/b]"))

    def listed() -> list[dict[str, Any]]:
        done = tidegate(deployment, "keys", "list", "--stage=trial", "--json")
        return [key for key in json.loads(done.stdout) if key["environment"] == "rotating"]

    [key] = listed()
    assert (key["name"], key["kind"], key["revoked_at"]) == ("[b]shop[/b]", "event", None)
    table = tidegate(deployment, "keys", "list", "--stage=trial").stdout
    assert "[b]shop[/b]" in table
    assert key["created_at"] in table
    rotated = tidegate(deployment, "keys", "rotate", "--stage=trial", key["id"])
    assert f"tidegate keys revoke --stage trial {key['id']}" in rotated.stderr
    new = rotated.stdout.strip()
    assert [keys.find("event", secret) for secret in (old, new)] == [Key("event", "rotating")] * 2
    revoked = tidegate(deployment, "keys", "revoke", "--stage=trial", key["id"])
    assert (revoked.returncode, revoked.stdout.split()[:2]) == (0, ["revoked", key["id"]])
    keys.clock.sleep(60)
    assert [keys.find("event", secret) for secret in (old, new)] == [None, Key("event", "rotating")]
    assert [bool(key["revoked_at"]) for key in listed()] == [True, False]
    assert [key["last_used"] is None for key in listed()] == [False, False]


def test_an_unknown_key_or_environment_is_one_line(deployment: Deployment) -> None:
    for arguments in (("keys", "revoke"), ("keys", "rotate"), ("envs", "archive")):
        done = tidegate(deployment, *arguments, "--stage=trial", "nonsense")
        assert (done.returncode, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        assert "'nonsense'" in line


def test_environments_are_listed_and_archived(deployment: Deployment, keys: StoredKeys) -> None:
    keys.open_environment(Key("event", "branches", branch=True), "pr-1")
    assert tidegate(deployment, "envs", "archive", "--stage=trial", "pr-1").returncode == 0
    done = tidegate(deployment, "envs", "list", "--stage=trial", "--json")
    [found] = json.loads(done.stdout)
    assert (found["name"], found["archived_at"] is None) == ("pr-1", False)
    assert tidegate(deployment, "envs", "unarchive", "--stage=trial", "pr-1").returncode == 0
    told = create_key(deployment, "--stage=trial", "--env=pr-1")
    assert (told.returncode, "still open it" in told.stderr) == (0, True)
    assert "pr-1" in tidegate(deployment, "envs", "list", "--stage=trial").stdout


# --- docs/deploying.md ----------------------------------------------------------------------------


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "deploying.md").read_text()
    settings = text.partition("\n## Settings\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", settings, re.MULTILINE))
    defaults = {field.name: str(field.default) for field in fields(Config)}
    assert documented == defaults | {"functions": "functions.shop"}


def test_every_option_of_the_key_command_is_documented() -> None:
    text = (ROOT / "docs" / "deploying.md").read_text()
    documented = set(re.findall(r"^\| `--(\w+)` \|", text, re.MULTILINE))
    assert documented == set(inspect.signature(create).parameters)
