"""What a cold start loads: each handler is imported in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate.cron import TriggerCron
from tidegate.expression import compile_expression
from tidegate.manifest import TABLES, CronManifest, FunctionManifest, Manifest, TriggerManifest
from tidegate.settings import Settings

ROOT = Path(__file__).parents[2]

# Reports the modules that an import brings in, and the services for which it makes a client.
PROBE = """
import gc, json, sys
services = []
if "botocore" in sys.argv[2:]:
    from botocore.session import Session
    make = Session.create_client
    Session.create_client = lambda self, service, *a, **k: (
        services.append(service) or make(self, service, *a, **k)
    )
__import__(sys.argv[1])
found = {"modules": sorted(sys.modules), "services": services}
found |= {"collects": gc.isenabled(), "frozen": gc.get_freeze_count()}
json.dump(found, sys.__stdout__)
"""

NEVER = (
    "moto",
    "aws_cdk",
    "uvicorn",
    "typer",
    "rich",
    "watchfiles",
    "pytest",
    "hypothesis",
    "tidegate.local",
    "tidegate.cli",
    "tidegate.commands",
    "tidegate_cdk",
    "mypy_boto3_dynamodb",
    "mypy_boto3_s3",
    "mypy_boto3_scheduler",
    "mypy_boto3_sns",
    "mypy_boto3_sqs",
    "types_boto3",
    "httpx",
    "cronsim",
    "tidegate.cron_expression",
    # What reads expressions: the manifest carries them as they were read.
    "celpy",
    "lark",
    "re2",
    "tidegate.expression_parser",
    # botocore makes the clients; boto3 would load the transfer manager of S3 as well.
    "boto3",
    "s3transfer",
)
# What makes models of events and triggers: for Lambdas that have functions.
MODELS = ("pydantic", "annotated_types", "tidegate.event_model", "tidegate.trigger", "zoneinfo")
# What runs functions, and sends for those who are no Lambda: not for Lambdas without functions.
FUNCTIONS = (
    "functions.shop",
    "tidegate.client",
    "tidegate.context",
    "tidegate.engine",
    "tidegate.function",
    "tidegate.session",
    "tidegate.worker",
)
# A function that is gone from the code.
REMOVED = "shop-gone"
POWERTOOLS = tuple(
    f"aws_lambda_powertools.{part}"
    for part in ("event_handler", "utilities.batch", "utilities.parser", "utilities.idempotency")
)


def imported(module: str, environment: dict[str, str], *options: str) -> dict[str, Any]:
    """What importing a module in a fresh process does."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module, *options],
        env=kept
        | {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
        | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def unneeded(modules: list[str], *names: str) -> list[str]:
    """Those modules that are, or lie below, one of the names."""
    return [module for module in modules if f"{module}.".startswith(tuple(f"{n}." for n in names))]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables as the stack sets them, for all four Lambdas."""
    expression = compile_expression("event.data.total > 1 && event.data.items.all(x, x.n > 1)")
    trigger = TriggerManifest(
        event="storefront/cart.checkout.completed", expression=expression.text
    )
    function = FunctionManifest(
        id="shop-send-receipt",
        app_id="shop",
        name="Send the receipt",
        module="functions.shop.checkout",
        triggers=(trigger,),
        crons=(CronManifest.of(TriggerCron(cron="0 5 * * *")),),
        retries=10,
        timeout_s=120,
        expressions=(expression,),
    )
    path = tmp_path / "manifest.json"
    Manifest(functions=(function,)).keeping([REMOVED]).write(path)
    settings = Settings(
        **{f"{table.name}_table": f"t-{table.name}" for table in TABLES},
        topic_arns=("arn:aws:sns:us-east-1:123456789012:t",),
        bucket="t-payloads",
        manifest=str(path),
        function=function.id,
        queue_url="https://sqs.us-east-1.amazonaws.com/123456789012/t",
        queue_arn="arn:aws:sqs:us-east-1:123456789012:t",
        dead_letter_url="https://sqs.us-east-1.amazonaws.com/123456789012/d",
        dead_letter_arn="arn:aws:sqs:us-east-1:123456789012:d",
        matcher_queue_url="https://sqs.us-east-1.amazonaws.com/123456789012/m",
        queues_path="/tidegate/t/queues",
        schedule_group="t",
        schedule_role_arn="arn:aws:iam::123456789012:role/t",
        stage="production",
        metrics="on",
    )
    return settings.environment(*vars(settings))


FLOOR = """
import boto3, json, sys
for service in sys.argv[1:]:
    boto3.client(service)
json.dump(sorted(sys.modules), sys.__stdout__)
"""


@pytest.fixture(scope="module")
def floor() -> dict[str, set[str]]:
    """The modules of boto3 and of some clients, by the clients' names."""

    def loaded(*services: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", FLOOR, *services],
            env={"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return set(json.loads(done.stdout))

    return {"dynamodb": loaded("dynamodb"), "dynamodb+sns": loaded("dynamodb", "sns")}


def test_a_client_loads_neither_botocore_nor_httpx() -> None:
    modules = imported("tidegate.client", {})["modules"]
    assert "tidegate.client" in modules
    found = unneeded(modules, "boto3", "botocore", "aws_lambda_powertools", *NEVER)
    assert not found, f"`import tidegate.client` loads {found}"


def test_the_test_kit_loads_no_aws() -> None:
    modules = imported("tidegate.testing", {})["modules"]
    assert {"tidegate.engine", "tidegate.testing.running"} <= set(modules)
    found = unneeded(modules, "boto3", "botocore", "aws_lambda_powertools", *NEVER)
    assert not found, f"`import tidegate.testing` loads {found}"


# How many modules each handler loads beyond those of boto3 and its clients. One module costs
# about 0.4 ms of a cold start. Look what a change brings in before making a limit larger.
@pytest.mark.parametrize(
    ("module", "more", "services", "limit"),
    [
        (
            "tidegate.handlers.ingest",
            (*POWERTOOLS, *MODELS, *FUNCTIONS, "asyncio"),
            {"dynamodb", "sns"},
            97,
        ),
        ("tidegate.handlers.worker", POWERTOOLS, {"dynamodb"}, 224),
        (
            "tidegate.handlers.matcher",
            (*POWERTOOLS, *MODELS, *FUNCTIONS, "asyncio"),
            {"dynamodb", "sns"},
            122,
        ),
        ("tidegate.handlers.api", (*MODELS, *FUNCTIONS), {"dynamodb"}, 252),
    ],
)
def test_a_handler_loads_what_it_needs(
    environment: dict[str, str],
    floor: dict[str, set[str]],
    module: str,
    more: tuple[str, ...],
    services: set[str],
    limit: int,
) -> None:
    found = imported(module, environment, "botocore")
    assert module in found["modules"]
    extra = unneeded(found["modules"], *NEVER, *more)
    assert not extra, f"{module} loads {extra}"
    assert set(found["services"]) == services, f"{module} makes clients of {found['services']}"
    beyond = sorted(set(found["modules"]) - floor["+".join(sorted(services))])
    assert len(beyond) <= limit, f"{module} loads {len(beyond)} modules of its own: {beyond}"
    assert found["collects"], "garbage is collected again once the clients are made"
    assert found["frozen"] > 10_000, "what a start has loaded is not looked through for garbage"


def test_the_worker_of_a_removed_function_loads_no_module_of_the_app(
    environment: dict[str, str],
) -> None:
    found = imported("tidegate.handlers.worker", environment | {"TIDEGATE_FUNCTION": REMOVED})
    assert "tidegate.engine" in found["modules"]
    assert unneeded(found["modules"], "functions") == []


EVALUATES = """
import sys
from tidegate.manifest import Manifest
manifest = Manifest.read(sys.argv[2])
function, = manifest.functions
expression = manifest.expression(function.id, function.triggers[0].expression)
event = {"data": {"total": 2, "items": [{"n": 2}]}}
if not expression.matches(event=event, now_ms=0):
    sys.exit("it does not match")
print([name for name in ("celpy", "lark") if name in sys.modules])
"""


def test_a_worker_evaluates_what_the_manifest_carries_without_reading_it(
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVALUATES, "", environment["TIDEGATE_MANIFEST"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


STEP = """
import sys
import tidegate.step
from tidegate import step
print(callable(step), step is tidegate.step, sys.modules["tidegate.step"].StepId.__name__)
"""


def test_step_is_the_decorator_even_behind_an_import_of_the_module() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEP], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True True StepId\n", "")


def test_everything_that_tidegate_promises_is_there() -> None:
    import tidegate

    assert all(getattr(tidegate, name) is not None for name in tidegate.__all__)
    assert set(tidegate.__all__) <= set(dir(tidegate))
    assert not hasattr(tidegate, "Clientt")


def test_the_probe_sees_what_is_loaded() -> None:
    modules = imported("httpx", {})["modules"]
    assert "httpx" in unneeded(modules, *NEVER)
    assert "httpx._client" in unneeded(modules, *NEVER)
    assert unneeded(["richer", "moto_ext", "tidegate.locals"], *NEVER) == []
