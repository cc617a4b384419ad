"""An AWS in memory, and queues in it."""

import itertools
import sys
import threading
import time

import botocore.session
import pytest
from botocore.config import Config

from tidegate import registry
from tidegate.aws import client
from tidegate.cron import TriggerCron
from tidegate.local.cloud import Cloud
from tidegate.manifest import CronManifest, FunctionManifest, Manifest, TriggerManifest

TABLE = "tidegate-runs"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def cloud():
    started = Cloud()
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def server(cloud, dynamodb_server):
    """A client of another engine of DynamoDB's API, which has a table of runs as well."""
    config = Config(parameter_validation=False)
    dynamodb = botocore.session.get_session().create_client(
        "dynamodb", endpoint_url=dynamodb_server, config=config
    )
    made = client("dynamodb").describe_table(TableName=TABLE)["Table"]
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        **{name: made[name] for name in ("KeySchema", "AttributeDefinitions")},
    )
    yield dynamodb
    dynamodb.delete_table(TableName=TABLE)


@pytest.fixture
def function():
    """Makes the manifest of a function."""

    def make(function_id="shop-hello", *events, retries=4, timeout_s=120, crons=()):
        if not events and not crons:
            events = ["app/hello"]
        return FunctionManifest(
            id=function_id,
            app_id="shop",
            name=function_id,
            module="shop",
            triggers=tuple(TriggerManifest(event=event) for event in events),
            crons=tuple(CronManifest.of(TriggerCron(cron=cron)) for cron in crons),
            retries=retries,
            timeout_s=timeout_s,
        )

    return make


@pytest.fixture
def manifest():
    return lambda *functions: Manifest(functions=functions)


@pytest.fixture
def queue(cloud):
    """Makes a queue; gives its URL."""

    def make(suffix="", **attributes):
        name = f"q-{next(_numbers)}{suffix}"
        return client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    return make


def arn_of(url):
    """The ARN of a queue."""
    return f"arn:aws:sqs:us-east-1:123456789012:{url.rpartition('/')[2]}"


@pytest.fixture
def eventually():
    """Waits, for no longer than it takes, until something is true."""

    def wait(condition, timeout_s=30):
        end = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            pause.wait(0.005)

    return wait


class AppFolder:
    """A folder with modules of an app."""

    def __init__(self, path):
        self.path = path

    def write(self, name, code, **values):
        """Put a file there; `{name}` in the code is replaced by the value of that name."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        for key, value in values.items():
            code = code.replace(f"{{{key}}}", str(value))
        file.write_text(code)
        return file


@pytest.fixture
def app_folder(tmp_path, monkeypatch):
    """A folder to import modules from; afterwards no trace of them is left."""
    monkeypatch.syspath_prepend(tmp_path)
    # As it is for most people: what was compiled before is used again.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path, modules = list(sys.path), set(sys.modules)
    registry.clear()
    yield AppFolder(tmp_path)
    registry.clear()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
