"""Updates and conditions that are not moto's do as moto's do."""

import itertools

import pytest
from botocore.exceptions import ClientError
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.responses import DynamoHandler

from tests.local.conftest import TABLE
from tidegate.aws import client
from tidegate.local import dynamodb_speed

_numbers = itertools.count()
_moto_item = dynamodb_speed._moto_make_item

ITEM = {
    "status": {"S": "RUNNING"},
    "lease": {"S": "mine"},
    "attempt": {"N": "1"},
    "map": {"M": {"x": {"S": "y"}}},
    "list": {"L": [{"S": "a"}]},
}
# An expression, what `#names` stand for, the values.
PLAIN = [
    ("SET a = :a", {}, {":a": {"S": "b"}}),
    ("SET #s = :a, lease = :b REMOVE attempt, absent", {"#s": "status"}, {":a": 1, ":b": ""}),
    ("REMOVE #s", {"#s": "status"}, {}),
    ("set a = :a remove b", {}, {":a": {"M": {"k": {"L": [{"NULL": True}]}}}}),
    ("SET a = :a, b = :a", {}, {":a": {"SS": ["x", "y"]}}),
]
OTHERS = [
    ("SET attempt = attempt + :a", {}, {":a": 1}),
    ("SET a = lease", {}, {}),
    ("SET a = if_not_exists(a, :a)", {}, {":a": 1}),
    ("SET map.x = :a", {}, {":a": "z"}),
    ("SET list[0] = :a", {}, {":a": "z"}),
    ("SET #l = list_append(#l, :a)", {"#l": "list"}, {":a": {"L": [{"S": "b"}]}}),
    ("ADD attempt :a", {}, {":a": 1}),
    ("REMOVE map.x, list[0]", {}, {}),
]
WRONG = [
    ("SET status = :a", {}, {":a": 1}),
    ("SET sk = :a", {}, {":a": "other"}),
    ("SET a = :a, a = :b", {}, {":a": 1, ":b": 2}),
    ("SET a = :a REMOVE a", {}, {":a": 1}),
    ("SET a = :a SET b = :a", {}, {":a": 1}),
    ("SET a = :none", {}, {":a": 1}),
    ("SET a = :a", {}, {":a": 1, ":unused": 2}),
    ("SET a = :a", {"#unused": "b"}, {":a": 1}),
    ("SET a = :a", {}, {":a": "x" * 410_000}),
    ("SET a = ", {}, {}),
    ("", {}, {}),
]
CONDITIONS = [
    ("lease = :c AND attempt = :d", {":c": "mine", ":d": 1}),
    ("lease = :c AND attempt = :d", {":c": "other", ":d": 1}),
    ("lease = :c AND attempt = :d", {":c": "mine", ":d": "1"}),
    ("attribute_not_exists(absent) AND (lease = :c OR attempt > :d)", {":c": "", ":d": 0}),
    ("attribute_not_exists(lease)", {}),
    ("lease IN (:c, :d)", {":c": "a", ":d": "mine"}),
    ("attempt BETWEEN :c AND :d", {":c": 0, ":d": 1}),
    ("attempt BETWEEN :c AND :d", {":c": 2, ":d": 3}),
    ("begins_with(lease, :c) AND NOT contains(lease, :d)", {":c": "mi", ":d": "q"}),
    ("size(lease) > :c", {":c": 3}),
    ("map = :c", {":c": {"M": {"x": {"S": "y"}}}}),
]
# In moto an attribute that is not there is null, elsewhere it is not.
OF_MOTO = [("absent = :c", {":c": {"NULL": True}})]


@pytest.fixture
def as_moto(cloud, monkeypatch):
    """Lets moto do it all by itself from here on."""

    def leave():
        monkeypatch.setattr(DynamoHandler, "update_item", dynamodb_speed._moto_update)
        monkeypatch.setattr(ConditionExpressionParser, "parse", dynamodb_speed._moto_parse)
        monkeypatch.setattr(Item, "__init__", _moto_item)

    return leave


def typed(values):
    """Values as DynamoDB's API has them."""
    kinds = {str: "S", int: "N"}
    return {
        name: value if isinstance(value, dict) else {kinds[type(value)]: str(value)}
        for name, value in values.items()
    }


def updated(expression, names, values, condition="", dynamodb=None):
    """What an update answers or raises, and the item as it then is."""
    dynamodb = dynamodb or client("dynamodb")
    key = {"pk": {"S": f"u-{next(_numbers)}"}, "sk": {"S": "s"}}
    dynamodb.put_item(TableName=TABLE, Item=key | ITEM)
    options = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": typed(values)}
    options = {name: value for name, value in options.items() if value}
    if condition:
        options |= {
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    try:
        answer = dynamodb.update_item(
            TableName=TABLE,
            Key=key,
            UpdateExpression=expression,
            ReturnValues="ALL_NEW",
            **options,
        )["Attributes"]
    except ClientError as error:
        answer = (error.response["Error"], error.response.get("Item", {}).keys())
    else:
        del answer["pk"]
    item = dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    assert item.pop("pk") == key["pk"]
    return answer, item


@pytest.mark.parametrize(("expression", "names", "values"), PLAIN + OTHERS + WRONG)
def test_updates_do_the_same(as_moto, expression, names, values):
    # Twice: what is remembered of an expression serves other items, too.
    ours = [updated(expression, names, values) for _ in range(2)]
    as_moto()
    assert ours == [updated(expression, names, values)] * 2


@pytest.mark.parametrize(("expression", "names", "values"), PLAIN + OTHERS + WRONG)
def test_updates_do_the_same_as_on_a_server(server, expression, names, values):
    ours = updated(expression, names, values)
    assert told(ours) == told(updated(expression, names, values, dynamodb=server))


@pytest.mark.parametrize(("condition", "values"), CONDITIONS)
def test_conditions_hold_the_same_as_on_a_server(server, condition, values):
    update = ("SET a = :a", {}, {":a": 1} | values)
    ours = updated(*update, condition)
    assert told(ours) == told(updated(*update, condition, dynamodb=server))


def told(result):
    """What an update came to; each engine has words of its own for its errors."""
    answer, item = result
    if isinstance(answer, tuple):
        error, given = answer
        answer = (error["Code"], set(given))
    return answer, item


@pytest.mark.parametrize(("condition", "values"), CONDITIONS + OF_MOTO)
def test_conditions_hold_the_same(as_moto, condition, values):
    update = ("SET a = :a", {}, {":a": 1} | values)
    ours = [updated(*update, condition) for _ in range(2)]
    as_moto()
    assert ours == [updated(*update, condition)] * 2


@pytest.mark.parametrize(("expression", "names", "values"), PLAIN)
def test_whole_attributes_are_not_left_to_moto(cloud, monkeypatch, expression, names, values):
    def fail(handler):
        raise AssertionError("moto was asked")

    monkeypatch.setattr(dynamodb_speed, "_moto_update", fail)
    answer, item = updated(expression, names, values)
    assert answer == item


def test_a_condition_is_parsed_once_for_all_values(cloud, monkeypatch):
    parsed = []
    moto_parse = dynamodb_speed._moto_parse
    monkeypatch.setattr(
        dynamodb_speed,
        "_moto_parse",
        lambda parser: parsed.append(parser.condition_expression) or moto_parse(parser),
    )
    condition = f"lease = :c AND attempt < :d AND attribute_not_exists(absent{next(_numbers)})"
    for lease, attempt in (("mine", 2), ("other", 2), ("mine", 1), ("mine", 3)):
        values = {":a": 1, ":c": lease, ":d": attempt}
        _, item = updated("SET a = :a", {}, values, condition)
        assert ("a" in item) == (lease == "mine" and attempt > 1)

    assert parsed.count(condition) == 1


def test_an_update_makes_an_item_that_is_not_there(cloud):
    key = {"pk": {"S": f"new-{next(_numbers)}"}, "sk": {"S": "s"}}
    client("dynamodb").update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": {"S": "b"}},
    )
    found = client("dynamodb").get_item(TableName=TABLE, Key=key)["Item"]
    assert found == key | {"a": {"S": "b"}}


def test_an_item_that_is_too_large_is_refused(cloud):
    key = {"pk": {"S": "large"}, "sk": {"S": "s"}}
    halves = {name: {"S": "x" * 203_000} for name in ("a", "b")}
    with pytest.raises(ClientError, match="Item size has exceeded the maximum allowed size"):
        client("dynamodb").put_item(TableName=TABLE, Item=key | halves)
    assert "Item" not in client("dynamodb").get_item(TableName=TABLE, Key=key)
