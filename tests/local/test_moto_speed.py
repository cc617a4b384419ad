"""Moto does the same as before, with less work."""

import pytest
from botocore.exceptions import ClientError
from moto.core import utils
from moto.dynamodb.parsing import ast_nodes
from moto.dynamodb.parsing.expressions import UpdateExpressionParser

from tidegate.aws import client

TABLE = "tidegate-runs"


def update(key, expression, **options):
    client("dynamodb").update_item(
        TableName=TABLE,
        Key={"pk": {"S": key}, "sk": {"S": "s"}},
        UpdateExpression=expression,
        **options,
    )
    found = client("dynamodb").get_item(TableName=TABLE, Key={"pk": {"S": key}, "sk": {"S": "s"}})
    return {name: value for name, value in found["Item"].items() if name not in ("pk", "sk")}


def test_the_same_expression_works_again_with_other_values(cloud):
    expression = "SET n = if_not_exists(n, :zero) + :n, l = list_append(if_not_exists(l, :e), :l)"
    values = {":zero": {"N": "0"}, ":e": {"L": []}}
    for number in ("1", "2"):
        values |= {":n": {"N": number}, ":l": {"L": [{"N": number}]}}
        got = update("again", expression, ExpressionAttributeValues=values)
    assert got == {"n": {"N": "3"}, "l": {"L": [{"N": "1"}, {"N": "2"}]}}


def test_nested_places_are_set_and_removed(cloud):
    names = {"#a": "status"}
    update(
        "nested",
        "SET #a = :m",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={":m": {"M": {"x": {"S": "1"}, "y": {"S": "2"}}}},
    )
    got = update(
        "nested",
        "SET #a.z = :z REMOVE #a.x",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={":z": {"S": "3"}},
    )
    assert got == {"status": {"M": {"y": {"S": "2"}, "z": {"S": "3"}}}}


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("SET pk = :v", {":v": {"S": "new"}}),
        ("SET a = :v, a = :v", {":v": {"S": "x"}}),
        ("SET a = :v SET b = :v", {":v": {"S": "x"}}),
        ("SET a = :missing", {":v": {"S": "x"}}),
        ("SET a = :v b", {":v": {"S": "x"}}),
    ],
    ids=["key", "twice", "two clauses", "missing value", "syntax"],
)
def test_what_dynamodb_refuses_is_still_refused(cloud, expression, values):
    with pytest.raises(ClientError, match="ValidationException"):
        update("refused", expression, ExpressionAttributeValues=values)


def test_what_is_remembered_is_what_moto_uses(cloud):
    from moto.core import responses
    from moto.sqs import models

    client("sqs").list_queues()
    before = utils.camelcase_to_underscores.cache_info().hits
    assert models.camelcase_to_underscores is utils.camelcase_to_underscores
    assert responses.method_names_from_class is utils.method_names_from_class
    client("sqs").list_queues()
    assert utils.camelcase_to_underscores.cache_info().hits > before
    assert UpdateExpressionParser.make("SET a = :a") is UpdateExpressionParser.make("SET a = :a")


def test_what_is_overridden_is_still_there_in_moto():
    traverser = vars(ast_nodes.DepthFirstTraverser)
    for name in ("_processing_map", "process", "pre_processing_of_child", "traverse"):
        assert name in traverser, f"moto's traverser has no {name} any more"
