"""450 functions: more than a stack has room for, and more than a topic has filters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from many import many
from stages import cdk_app, stage_stack

from tidegate.manifest import Manifest
from tidegate_cdk.placement import (
    FILLED_RESOURCES,
    MAX_FILTERS,
    MOST_RESOURCES_AT_FIRST,
    place,
    sharded,
)

APPS = Path(__file__).parent / "apps"
FUNCTIONS = 450

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_RESOURCES = 500
MAX_PARAMETERS = 200
MAX_OUTPUTS = 200
MAX_TEMPLATE_BYTES = 1_000_000
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: of a role, together.
MAX_INLINE_POLICY_CHARACTERS = 10_240
LONGEST_QUEUE_ARN = len("arn:aws-us-gov:sqs:ap-southeast-2:123456789012:") + 80


@dataclass(frozen=True)
class Big:
    """The stage.

    Attributes:
        manifest: what its Lambdas read.
        root: the template of its own stack.
        nested: the templates of the stacks in it, by file name.
        files: all of them.
    """

    manifest: Manifest
    root: dict[str, Any]
    nested: dict[str, dict[str, Any]]
    files: list[Path]

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The resources of a type in all stacks, each with the stack's file name."""
        for name, template in {"": self.root, **self.nested}.items():
            for resource in template["Resources"].values():
                if resource["Type"] == kind:
                    yield name, resource["Properties"]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Big:
    from tidegate_cdk.config import Config

    folder = tmp_path_factory.mktemp("cdk.out")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(APPS))
        app = cdk_app(folder)
        # With all that needs resources, so that no choice makes a stack too large.
        config = Config(
            stage="big",
            functions=("warehouse",),
            encryption="stack",
            alarms="all",
            alarms_to="on-call@example.com",
            dashboard="yes",
            tracing="on",
        )
        stage_stack(app, config, many(FUNCTIONS))
        app.synth()
    files = sorted(folder.glob("*template.json"))
    nested = [path for path in files if path.name.endswith(".nested.template.json")]
    [root] = [path for path in files if path not in nested]
    [manifest] = folder.glob("asset.*/manifest.json")
    return Big(
        Manifest.read(manifest),
        json.loads(root.read_text()),
        {path.name: json.loads(path.read_text()) for path in nested},
        files,
    )


def subscriptions_of(big: Big) -> list[dict[str, Any]]:
    """The subscriptions to events; somebody with an e-mail address has one to the alarms."""
    every = [one for _, one in big.resources("AWS::SNS::Subscription")]
    return [one for one in every if one["Protocol"] == "sqs"]


def referenced(value: Any) -> str:
    """The name of the resource or of the parameter that a value refers to."""
    return str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"])


def test_every_stack_is_as_small_as_cloudformation_wants_it(big: Big) -> None:
    assert len(big.nested) == 12 + 1 + 13, "and the one of the topics, and those of alarms"
    for template in (big.root, *big.nested.values()):
        assert len(template["Resources"]) <= MAX_RESOURCES
        assert len(template.get("Parameters", ())) <= MAX_PARAMETERS
        assert len(template.get("Outputs", ())) <= MAX_OUTPUTS
    for path in big.files:
        assert path.stat().st_size <= MAX_TEMPLATE_BYTES


def test_the_stages_own_stack_has_room_for_more_stacks(big: Big) -> None:
    assert len(big.root["Resources"]) + 25 <= MAX_RESOURCES
    # Also where its own functions have got crons since.
    assert len(big.root["Resources"]) + MOST_RESOURCES_AT_FIRST - FILLED_RESOURCES <= MAX_RESOURCES


def test_every_function_runs_in_one_place(big: Big) -> None:
    functions = Counter(
        worker["Environment"]["Variables"].get("TIDEGATE_FUNCTION")
        for _, worker in big.resources("AWS::Lambda::Function")
    )
    assert functions.pop(None) == 3, "ingest, the REST API and the matcher"
    assert functions == {function.id: 1 for function in big.manifest.functions}
    assert len(functions) == FUNCTIONS
    assert len([*big.resources("AWS::Lambda::EventSourceMapping")]) == FUNCTIONS + 1


def test_a_topic_has_no_more_filters_than_it_may_have(big: Big) -> None:
    filters = Counter(topic_of(subscription) for subscription in subscriptions_of(big))
    assert sum(filters.values()) == FUNCTIONS + 1
    assert len(filters) == big.manifest.shards == 4
    assert max(filters.values()) <= MAX_FILTERS


def topic_of(subscription: dict[str, Any]) -> int:
    """The shard whose topic it is; that of the first is in the stage's own stack."""
    name = referenced(subscription["TopicArn"])
    numbers = [shard for shard in (1, 2, 3) if f"Events{shard}" in name]
    return numbers[0] if numbers else 0


def test_each_queue_hangs_on_the_topic_that_its_function_is_published_to(big: Big) -> None:
    shards = {f.filter_policy["name"][0]: f.shard for f in big.manifest.functions}
    subscriptions = subscriptions_of(big)
    by_name = {one["FilterPolicy"].get("name", [""])[0]: topic_of(one) for one in subscriptions}
    assert by_name.pop("") == 0, "the matcher's"
    assert by_name == shards
    assert big.manifest == sharded(many(FUNCTIONS), place(many(FUNCTIONS)))


def test_every_lambda_is_told_of_all_topics_in_their_order(big: Big) -> None:
    for _, function in big.resources("AWS::Lambda::Function"):
        [separator, parts] = function["Environment"]["Variables"]["TIDEGATE_TOPIC_ARNS"]["Fn::Join"]
        topics = [referenced(part) for part in parts if part != ","]
        assert separator == ""
        assert len(topics) == 4
        for shard in (1, 2, 3):
            assert f"Events{shard}" in topics[shard]
        assert "Events" in topics[0]


def test_every_publisher_may_publish_to_all_topics(big: Big) -> None:
    for _, role in big.resources("AWS::IAM::Role"):
        for policy in role.get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Action"] == "sns:Publish":
                    assert len(statement["Resource"]) == 4


def test_the_roles_of_schedules_are_as_short_as_iam_wants_them(big: Big) -> None:
    policies = [policy for _, policy in big.resources("AWS::IAM::Policy")]
    assert len(policies) == 13, "one for each stack with functions"
    for policy in policies:
        [_, statement] = policy["PolicyDocument"]["Statement"]
        queues = len(statement["Resource"])
        # The other one, of the key, has 200 characters or so, as the rest around them.
        assert queues * (LONGEST_QUEUE_ARN + len('"",')) + 400 <= MAX_INLINE_POLICY_CHARACTERS


def test_cfn_lint_finds_nothing_in_a_nested_stack(big: Big) -> None:
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    by_size = sorted(big.nested.values(), key=lambda template: len(template["Resources"]))
    for kind in ("AWS::Lambda::Function", "AWS::SNS::Topic", "AWS::CloudWatch::Alarm"):
        template = next(one for one in by_size if kind in str(one))
        found = lint(
            json.dumps(template),
            config=ManualArgs(regions=["us-east-1"], ignore_checks=["W3005"]),
        )
        assert not [str(match) for match in found]
