"""Queries that are not moto's give what moto's give."""

import itertools
import json

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from tests.local.conftest import TABLE
from tidegate.aws import client
from tidegate.local import query_speed
from tidegate.local.lambda_function import REGION

_numbers = itertools.count()

RANGES = [
    ("", {}),
    ("sk BETWEEN :a AND :b", {":a": "03", ":b": "11"}),
    ("sk BETWEEN :a AND :b", {":a": "x", ":b": "y"}),
    ("begins_with(sk, :a)", {":a": "1"}),
    ("sk > :a", {":a": "07"}),
    ("sk <= :a", {":a": "07"}),
    ("sk = :a", {":a": "07"}),
]
OPTIONS = [
    {},
    {"ScanIndexForward": False},
    {"Limit": 4},
    {"Limit": 4, "ScanIndexForward": False, "ConsistentRead": True},
    {"Limit": 3, "FilterExpression": "attribute_exists(even)"},
    {"FilterExpression": "even = :e", "ExpressionAttributeValues": {":e": {"BOOL": False}}},
    {"ProjectionExpression": "sk, even, absent"},
    {"ProjectionExpression": "sk, nest.x"},
    {"ProjectionExpression": "#m", "ExpressionAttributeNames": {"#m": "nest"}, "Limit": 5},
    {"Select": "COUNT"},
]


@pytest.fixture
def partition(cloud):
    """Twenty items, not put in their order, beside another partition's."""
    return filled(client("dynamodb"))


def filled(dynamodb):
    """The key of such a partition."""
    pk = f"q-{next(_numbers)}"
    for number in (number * 7 % 20 for number in range(20)):
        item = {"pk": {"S": pk}, "sk": {"S": f"{number:02}"}, "n": {"N": str(number)}}
        item["nest"] = {"M": {"x": {"S": "y" * number}, "l": {"L": [{"NULL": True}]}}}
        if number % 2 == 0:
            item["even"] = {"BOOL": True}
        dynamodb.put_item(TableName=TABLE, Item=item)
        dynamodb.put_item(TableName=TABLE, Item=item | {"pk": {"S": f"{pk}-other"}})
    return pk


def pages(pk, condition, values, options, dynamodb=None):
    """All pages of a query, up to ten of them."""
    asked = {"TableName": TABLE, **options}
    asked["KeyConditionExpression"] = "pk = :pk" + (f" AND {condition}" if condition else "")
    asked["ExpressionAttributeValues"] = {
        ":pk": {"S": pk},
        **{name: {"S": value} for name, value in values.items()},
        **options.get("ExpressionAttributeValues", {}),
    }
    found = []
    for _ in range(10):
        page = (dynamodb or client("dynamodb")).query(**asked)
        del page["ResponseMetadata"]
        found.append(page)
        if "LastEvaluatedKey" not in page:
            break
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    return found


@pytest.mark.parametrize(("condition", "values"), RANGES)
def test_queries_give_the_same(partition, monkeypatch, condition, values):
    ours = [pages(partition, condition, values, options) for options in OPTIONS]
    monkeypatch.setattr(Table, "query", query_speed._moto_query)
    assert ours == [pages(partition, condition, values, options) for options in OPTIONS]


@pytest.mark.parametrize(("condition", "values"), RANGES)
def test_queries_give_the_same_as_on_a_server(partition, server, condition, values):
    there = filled(server)
    for options in OPTIONS:
        ours = without_end(pages(partition, condition, values, options))
        theirs = without_end(pages(there, condition, values, options, server))
        assert json.loads(json.dumps(theirs).replace(there, partition)) == ours


def without_end(found):
    """Pages without the empty one that may come, or not, behind one that is full."""
    if len(found) > 1 and not found[-1]["ScannedCount"]:
        *found, _ = found
        del found[-1]["LastEvaluatedKey"]
    return found


def test_pages_end_where_they_have_a_megabyte(cloud, monkeypatch):
    pk = f"large-{next(_numbers)}"
    for number in range(5):
        item = {"pk": {"S": pk}, "sk": {"S": str(number)}, "text": {"S": "x" * 300_000}}
        client("dynamodb").put_item(TableName=TABLE, Item=item)
    ours = pages(pk, "", {}, {"ProjectionExpression": "sk"})
    assert [len(page["Items"]) for page in ours] == [3, 2]
    monkeypatch.setattr(Table, "query", query_speed._moto_query)
    assert ours == pages(pk, "", {}, {"ProjectionExpression": "sk"})


def test_a_query_is_not_left_to_moto(partition, monkeypatch):
    def fail(*args, **options):
        raise AssertionError("moto was asked")

    monkeypatch.setattr(query_speed, "_moto_query", fail)
    [page] = pages(partition, "", {}, {})
    assert page["Count"] == 20


def test_what_is_found_is_a_copy(partition):
    table = cloud_table()
    found, _, _ = table.query(key(partition), None, [], None, None, True, None)
    found[0].attrs["n"].value = "changed"
    found, _, _ = table.query(key(partition), None, [], None, None, True, [["n"]])
    found[1].attrs["n"].value = "changed"
    [page] = pages(partition, "", {}, {})
    assert [item["n"]["N"] for item in page["Items"]] == [str(number) for number in range(20)]


def cloud_table():
    return dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].get_table(TABLE)


def key(pk):
    return DynamoType({"S": pk})
