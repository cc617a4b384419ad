"""What is encrypted with which key, who may use it, and what a production stage keeps."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from template_resources import properties

if TYPE_CHECKING:
    from tests.infra.conftest import Guarded, Synthesis


def is_key(value: Any) -> bool:
    """Whether a value is the key's ARN, in its own stack or as a parameter of a nested one."""
    if not isinstance(value, dict) or "Fn::Join" in value:
        return False
    named = value["Fn::GetAtt"][0] if "Fn::GetAtt" in value else value["Ref"]
    return bool(re.fullmatch(r"(referencetoTidegateproduction)?Key[0-9A-F]{8}(Arn)?", named))


def test_everything_is_encrypted_with_the_stages_key(guarded: Guarded) -> None:
    found = {
        "AWS::DynamoDB::Table": lambda p: p["SSESpecification"]["KMSMasterKeyId"],
        "AWS::Logs::LogGroup": lambda p: p["KmsKeyId"],
        "AWS::Lambda::Function": lambda p: p["KmsKeyArn"],
        "AWS::SNS::Topic": lambda p: p["KmsMasterKeyId"],
        "AWS::SQS::Queue": lambda p: p["KmsMasterKeyId"],
        "AWS::Scheduler::Schedule": lambda p: p["KmsKeyArn"],
        "AWS::S3::Bucket": lambda p: p["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
            "ServerSideEncryptionByDefault"
        ]["KMSMasterKeyID"],
    }
    for kind, of in found.items():
        resources = guarded.resources(kind)
        assert resources, kind
        for resource in resources:
            assert is_key(of(resource["Properties"])), resource
    assert len(guarded.resources("AWS::SNS::Topic")) == 3, "two shards, and the alarms'"
    [bucket] = guarded.resources("AWS::S3::Bucket")
    [rule] = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True


def test_the_key_rotates_and_stays(guarded: Guarded) -> None:
    [key] = guarded.resources("AWS::KMS::Key")
    assert key["Properties"]["EnableKeyRotation"] is True
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"


def test_services_may_use_the_key_for_this_account_only(guarded: Guarded) -> None:
    [key] = guarded.resources("AWS::KMS::Key")
    statements = key["Properties"]["KeyPolicy"]["Statement"]
    services = {}
    for statement in statements:
        service = statement["Principal"].get("Service")
        if service is None:
            assert "root" in json.dumps(statement["Principal"]), "the account, as KMS has it"
            continue
        name = service if isinstance(service, str) else service["Fn::Join"][1][0]
        services[name] = set(statement["Action"])
        [condition] = statement["Condition"]["ArnLike"].values()
        assert {"Ref": "AWS::AccountId"} in condition["Fn::Join"][1]
    send = {"kms:Decrypt", "kms:GenerateDataKey"}
    assert services["sns.amazonaws.com"] == services["cloudwatch.amazonaws.com"] == send
    assert services["logs."] > send
    assert len(services) == 3


def test_every_role_may_use_the_key(guarded: Guarded) -> None:
    """Those of Lambdas to read and write, those of schedules to send to queues."""
    policies = [
        policy["PolicyDocument"]
        for role in guarded.resources("AWS::IAM::Role")
        for policy in role["Properties"].get("Policies", ())
    ]
    assert len(policies) == 3 + 4, "ingest, the REST API, the matcher, and four functions"
    attached = [p["Properties"]["PolicyDocument"] for p in guarded.resources("AWS::IAM::Policy")]
    assert len(attached) == 2, "each stack with functions has a role for their schedules"
    for document in (*policies, *attached):
        [actions] = [s["Action"] for s in document["Statement"] if is_key(s["Resource"])]
        assert {"kms:Decrypt", "kms:GenerateDataKey"} <= set(actions)
        assert not [action for action in actions if "*" in action]


def test_workers_encrypt_their_schedules(guarded: Guarded) -> None:
    told = [
        function["Properties"]["Environment"]["Variables"]
        for function in guarded.resources("AWS::Lambda::Function")
    ]
    workers = [variables for variables in told if "TIDEGATE_FUNCTION" in variables]
    assert len(workers) == 4
    for variables in workers:
        assert is_key(variables["TIDEGATE_SCHEDULE_KEY_ARN"])


def test_without_a_key_aws_encrypts_everything(synthesis: Synthesis) -> None:
    assert not properties(synthesis.dev, "AWS::KMS::Key")
    for queue in properties(synthesis.dev, "AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
    [bucket] = properties(synthesis.dev, "AWS::S3::Bucket").values()
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_a_key_of_another_stack_is_used_as_it_is(tmp_path: Any) -> None:
    from aws_cdk import App, Stack
    from aws_cdk.assertions import Template

    from tidegate_cdk.config import Config
    from tidegate_cdk.encryption import key_of
    from tidegate_cdk.storage import Storage

    arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    stack = Stack(App(outdir=str(tmp_path)), "Other")
    config = Config(encryption=arn)
    Storage(stack, "Storage", config=config, key=key_of(stack, config))
    template = Template.from_stack(stack)
    assert not properties(template, "AWS::KMS::Key")
    for table in properties(template, "AWS::DynamoDB::Table").values():
        assert table["SSESpecification"]["KMSMasterKeyId"] == arn


def test_what_production_stores_is_kept(guarded: Guarded) -> None:
    kept = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Logs::LogGroup", "AWS::KMS::Key")
    for kind in kept:
        for resource in guarded.resources(kind):
            assert resource["DeletionPolicy"] == "Retain", kind
    for table in guarded.resources("AWS::DynamoDB::Table"):
        assert table["Properties"]["DeletionProtectionEnabled"] is True
        recovery = table["Properties"]["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": True}
    assert guarded.is_protected == {"Tidegate-dev": False, "Tidegate-production": True}


@pytest.mark.parametrize(
    "kind", ["AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"]
)
def test_nothing_of_any_stack_is_reached_without_tls(guarded: Guarded, kind: str) -> None:
    policies = guarded.resources(kind)
    assert policies
    for policy in policies:
        assert any(
            statement["Effect"] == "Deny"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        )
    covered = {
        "AWS::SNS::TopicPolicy": "AWS::SNS::Topic",
        "AWS::SQS::QueuePolicy": "AWS::SQS::Queue",
    }
    if kind in covered:
        assert len(policies) == len(guarded.resources(covered[kind])), "each has one"


def test_every_log_is_forgotten_one_day(guarded: Guarded) -> None:
    for group in guarded.resources("AWS::Logs::LogGroup"):
        assert group["Properties"]["RetentionInDays"] == 30
