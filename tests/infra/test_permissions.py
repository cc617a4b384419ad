"""What each role may do: these lists, and not one action or resource more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.roles import BY_QUEUES, INGEST, MATCHER, REST_API, worker

ROLES = {
    "IngestRole": INGEST,
    "RestApiRole": REST_API,
    "WaitsMatcherRole": MATCHER,
    "FunctionwarehouseauditallWorkerRole": worker("Functionwarehouseauditall"),
    "FunctionwarehousecountWorkerRole": worker("Functionwarehousecount"),
    "FunctionwarehousereserveWorkerRole": worker("Functionwarehousereserve"),
    "FunctionwarehouserestockWorkerRole": worker("Functionwarehouserestock"),
    "SchedulesRole": {
        f"Functionwarehouse{function}{queue}": {"sqs:SendMessage"}
        for function in ("auditall", "count", "reserve", "restock")
        for queue in ("Queue", "DeadLetters")
    },
}


def plain(reference: Any) -> str:
    """A resource of a statement, as the logical id without the CDK's suffix of 8 characters."""
    if isinstance(reference, str):
        return reference
    if "Fn::Join" in reference:
        separator, parts = reference["Fn::Join"]
        return str(separator).join(plain(part) for part in parts)
    name = str(reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0])
    return name if name.startswith("AWS::") else name[:-8]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(template: dict[str, Any]) -> dict[str, list[Any]]:
    """The statements of each role, both inline ones and those of policies attached to it."""
    found: dict[str, list[Any]] = {}
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            assert "ManagedPolicyArns" not in properties, "managed policies say `*`"
            for policy in properties.get("Policies", []):
                found.setdefault(name[:-8], []).extend(policy["PolicyDocument"]["Statement"])
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            for role in properties["Roles"]:
                found.setdefault(plain(role), []).extend(properties["PolicyDocument"]["Statement"])
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_is_listed_and_no_more(template: dict[str, Any], role: str) -> None:
    granted: dict[str, set[str]] = {}
    for statement in statements(template)[role]:
        assert statement["Effect"] == "Allow"
        for resource in listed(statement["Resource"]):
            granted.setdefault(plain(resource), set()).update(listed(statement["Action"]))
    assert granted == ROLES[role]


def test_queues_let_those_two_roles_reach_dead_letters_and_nobody_else(
    template: dict[str, Any],
) -> None:
    granted: dict[str, dict[str, set[str]]] = {}
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::SQS::QueuePolicy":
            continue
        [queue] = resource["Properties"]["Queues"]
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
            assert plain(statement["Resource"]) == plain(queue)
            if statement["Effect"] == "Allow" and "AWS" in statement["Principal"]:
                role = granted.setdefault(plain(statement["Principal"]["AWS"]), {})
                role.setdefault(plain(queue), set()).update(listed(statement["Action"]))
    functions = [f"Functionwarehouse{name}" for name in ("auditall", "count", "reserve", "restock")]
    assert granted == {
        role: {
            f"{owner}{queue}": actions
            for owner in [*functions, "Waits"]
            for queue, actions in queues.items()
            # The matcher's own role lets it send to its queue.
            if (owner, queue) != ("Waits", "Queue")
        }
        for role, queues in BY_QUEUES.items()
    }


def test_there_are_no_other_roles(template: dict[str, Any]) -> None:
    assert set(statements(template)) == set(ROLES)


def test_no_policy_has_a_wildcard_for_a_resource_or_for_allowed_actions(
    template: dict[str, Any],
) -> None:
    documents = [
        properties["PolicyDocument"]
        for resource in template["Resources"].values()
        if "PolicyDocument" in (properties := resource.get("Properties", {}))
    ]
    every = [s for document in documents for s in document["Statement"]]
    every += [s for of_role in statements(template).values() for s in of_role]
    assert len(every) > 20
    for statement in every:
        assert "*" not in listed(statement["Resource"])
        if statement["Effect"] == "Allow":
            assert not [action for action in listed(statement["Action"]) if "*" in action]


def test_the_schedule_role_is_passed_to_scheduler_only(template: dict[str, Any]) -> None:
    passing = [
        statement
        for of_role in statements(template).values()
        for statement in of_role
        if "iam:PassRole" in listed(statement["Action"])
    ]
    assert len(passing) == 4
    for statement in passing:
        assert statement["Condition"] == {
            "StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}
        }


def test_the_rest_api_alone_makes_and_changes_keys(template: dict[str, Any]) -> None:
    writing = {
        (name, *listed(statement["Action"])): statement.get("Condition")
        for name, of_role in statements(template).items()
        for statement in of_role
        if "StorageKeys" in map(plain, listed(statement["Resource"]))
        and listed(statement["Action"]) != ["dynamodb:GetItem"]
    }
    note = {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "last_used_day"]},
        "StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE"]},
    }
    assert writing == {
        ("IngestRole", "dynamodb:UpdateItem"): note,
        ("IngestRole", "dynamodb:PutItem"): leading("environment#*"),
        ("RestApiRole", "dynamodb:DeleteItem"): leading("session#*"),
        (
            "RestApiRole",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
        ): None,
    }


def leading(pattern: str) -> dict[str, Any]:
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [pattern]}}


def test_roles_are_assumed_by_the_service_they_are_for(template: dict[str, Any]) -> None:
    trusted = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            [statement] = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            trusted[name[:-8]] = statement
    schedules = trusted.pop("SchedulesRole")
    assert schedules["Principal"] == {"Service": "scheduler.amazonaws.com"}
    condition = schedules["Condition"]["StringEquals"]
    assert condition["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert plain(condition["aws:SourceArn"]) == (
        "arn:AWS::Partition:scheduler:AWS::Region:AWS::AccountId:schedule-group/SchedulesGroup"
    )
    for statement in trusted.values():
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
