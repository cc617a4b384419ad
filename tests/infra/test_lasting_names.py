"""What holds something is never replaced by accident: its name in the template stays the same.

CloudFormation knows a resource by its logical id, which the CDK makes of the path of constructs.
Whoever moves or renames a construct on that path, or changes a property that CloudFormation cannot
change in place, replaces the resource in every stage that is deployed: a new, empty one comes, and
the old one goes with all it holds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.infra.conftest import Guarded, Synthesis

LASTING = Path(__file__).parent / "lasting.json"
UPDATE = "TIDEGATE_UPDATE_LASTING_NAMES"

# What is lost with a resource of each type.
HOLDS = {
    "AWS::ApiGatewayV2::Api": "clients have its address",
    "AWS::CloudFormation::Stack": "all of the stack's resources",
    "AWS::DynamoDB::Table": "all its records",
    "AWS::KMS::Key": "whatever it has encrypted",
    "AWS::S3::Bucket": "the payloads of large events and outputs",
    "AWS::SNS::Topic": "what is published while subscriptions move, for up to 15 minutes",
    "AWS::SQS::Queue": "its messages, and what EventBridge Scheduler sends to it",
    "AWS::Scheduler::ScheduleGroup": "the schedules of all runs that sleep",
}
ADVICE = (
    "Give the construct its old place and name. If the change is meant, docs/operations.md must "
    f"say how to upgrade (`tidegate runs recover`); then run this test with {UPDATE}=1."
)


def replacing(kind: str) -> set[str]:
    """The properties of a type that CloudFormation changes only by replacing the resource."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = (*schema.get("createOnlyProperties", ()), "/properties/KeySchema")
    return {path.split("/")[2] for path in paths}


def lasting(template: dict[str, Any]) -> dict[str, Any]:
    """What holds something, by its logical id: its type, and the properties that replace it."""
    found = {}
    for name, resource in template["Resources"].items():
        kind = resource["Type"]
        if kind in HOLDS:
            properties = resource.get("Properties", {})
            fixed = {one: properties[one] for one in replacing(kind) & properties.keys()}
            found[name] = {"type": kind, **fixed}
    return found


@pytest.fixture(scope="module")
def now(synthesis: Synthesis, guarded: Guarded) -> dict[str, Any]:
    """By template, what there is: of a small stage, and of one with a key and nested stacks."""
    nested = {name: one for template in guarded.nested for name, one in lasting(template).items()}
    return {
        "a stage": lasting(synthesis.templates["Tidegate-dev"]),
        "production": lasting(synthesis.templates["Tidegate-production"]),
        "a stage with its own key": lasting(guarded.root),
        "its nested stacks": nested,
    }


def test_nothing_that_holds_something_is_replaced(now: dict[str, Any]) -> None:
    if os.environ.get(UPDATE):
        LASTING.write_text(json.dumps(now, indent=2, sort_keys=True) + "\n")
    before = json.loads(LASTING.read_text())
    assert now.keys() == before.keys()
    gone, new = [], []
    for stack, resources in before.items():
        for name, resource in resources.items():
            if now[stack].get(name) != resource:
                lost = HOLDS[resource["type"]]
                gone.append(f"{stack}: {name} ({resource['type']}) would be lost, with {lost}")
        new += [f"{stack}: {name} is new" for name in now[stack].keys() - resources.keys()]
    if gone:
        pytest.fail("\n".join([*gone, *new, ADVICE]), pytrace=False)
    if new:
        pytest.fail("\n".join([*new, f"if that is meant, run this with {UPDATE}=1"]), pytrace=False)


def test_two_stages_and_all_functions_are_alike(now: dict[str, Any]) -> None:
    """So the names of one stage stand for those of every other one."""
    assert now["a stage"] == now["production"]
    queues = [name for name, one in now["a stage"].items() if one["type"] == "AWS::SQS::Queue"]
    assert len(queues) == 2 * (4 + 1), "of four functions and the matcher"
