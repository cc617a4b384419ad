"""Conditional writes as the stores rely on them: what they compare, what a failed one tells."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import Stage
from tidegate.aws import client

pytestmark = pytest.mark.storage

_numbers = itertools.count()
NOW = {":now": {"N": "1000"}}
UNLESS_IT_LIVES = "attribute_not_exists(pk) OR expires_at <= :now"


class Row:
    """An item of its own in the runs table."""

    def __init__(self, stage: Stage, **attributes: dict[str, Any]) -> None:
        self.table = stage.settings.runs_table
        self.key = {"pk": {"S": f"row {next(_numbers)}"}, "sk": {"S": "s"}}
        if attributes:
            client("dynamodb").put_item(TableName=self.table, Item=self.key | attributes)

    @property
    def now(self) -> dict[str, Any]:
        found = (
            client("dynamodb")
            .get_item(TableName=self.table, Key=self.key, ConsistentRead=True)
            .get("Item", {})
        )
        return {name: value for name, value in found.items() if name not in self.key}

    def put(self, item: dict[str, Any], condition: str, values: dict[str, Any]) -> Any:
        """None when it was put, else the item that the failed condition was told."""
        return self._told(
            client("dynamodb").put_item,
            Item=self.key | item,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
        )

    def update(self, update: str, condition: str, **options: Any) -> Any:
        """The answer's attributes, or the item that the failed condition was told."""
        return self._told(
            client("dynamodb").update_item,
            Key=self.key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ReturnValues="ALL_NEW",
            **options,
        )

    def _told(self, write: Any, **options: Any) -> Any:
        if not options.get("ExpressionAttributeValues", True):
            del options["ExpressionAttributeValues"]
        try:
            answer = write(
                TableName=self.table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **options
            )
        except client("dynamodb").exceptions.ConditionalCheckFailedException as error:
            return Failed(error.response.get("Item"))
        return answer.get("Attributes")


class Failed:
    """A condition failed; this is what it was told of the item."""

    def __init__(self, item: Any) -> None:
        self.item = item


def test_an_absent_item_is_put(stage: Stage) -> None:
    row = Row(stage)
    assert row.put({"a": {"S": "new"}}, UNLESS_IT_LIVES, NOW) is None
    assert row.now == {"a": {"S": "new"}}


@pytest.mark.parametrize(("expires", "is_put"), [(999, True), (1000, True), (1001, False)])
def test_an_expired_item_is_as_good_as_absent(stage: Stage, expires: int, is_put: bool) -> None:
    old = {"a": {"S": "old"}, "gone": {"S": "x"}, "expires_at": {"N": str(expires)}}
    row = Row(stage, **old)
    told = row.put({"a": {"S": "new"}}, UNLESS_IT_LIVES, NOW)
    if is_put:
        assert told is None
        assert row.now == {"a": {"S": "new"}}, "the whole item is replaced"
    else:
        assert told.item == row.key | old
        assert row.now == old, "a failed write changes nothing"


def test_a_failed_update_tells_the_whole_item_and_changes_nothing(stage: Stage) -> None:
    old: dict[str, Any] = {
        "lease": {"S": "theirs"},
        "n": {"N": "12"},
        "flag": {"BOOL": False},
        "names": {"L": [{"S": "a"}, {"S": ""}]},
        "ids": {"SS": ["a", "b"]},
        "blank": {"S": ""},
    }
    row = Row(stage, **old)
    told = row.update(
        "SET lease = :new REMOVE n",
        "lease = :mine",
        ExpressionAttributeValues={":new": {"S": "x"}, ":mine": {"S": "mine"}},
    )
    told.item["ids"]["SS"].sort()
    assert told.item == row.key | old
    assert row.now["lease"] == {"S": "theirs"}
    assert row.now["n"] == {"N": "12"}


@pytest.mark.parametrize("write", ["put", "update"])
def test_a_failed_condition_on_an_absent_item_tells_none(stage: Stage, write: str) -> None:
    row = Row(stage)
    condition, values = "lease = :mine", {":mine": {"S": ""}}
    if write == "put":
        told = row.put({"a": {"S": "x"}}, condition, values)
    else:
        told = row.update("REMOVE a", condition, ExpressionAttributeValues=values)
    assert told.item is None
    assert row.now == {}


CONDITIONS = [
    ("attribute_exists(pk) AND attribute_not_exists(absent)", {}, True),
    ("lease = :c AND #s = :d", {":c": {"S": "mine"}, ":d": {"S": "RUNNING"}}, True),
    ("lease = :c AND #s = :d", {":c": {"S": ""}, ":d": {"S": "RUNNING"}}, False),
    ("#s IN (:c, :d)", {":c": {"S": "SCHEDULED"}, ":d": {"S": "RUNNING"}}, True),
    ("#s IN (:c, :d)", {":c": {"S": "SCHEDULED"}, ":d": {"S": "ENDED"}}, False),
    ("n <= :c", {":c": {"N": "9"}}, False),
    ("n <= :c", {":c": {"N": "10"}}, True),
    ("absent <= :c", {":c": {"N": "9"}}, False),
    ("absent = :c", {":c": {"S": ""}}, False),
    ("blank = :c", {":c": {"S": ""}}, True),
    ("size(ids) < :c", {":c": {"N": "3"}}, True),
    ("size(ids) < :c", {":c": {"N": "2"}}, False),
    ("contains(ids, :c)", {":c": {"S": "b"}}, True),
    ("contains(ids, :c)", {":c": {"S": "bb"}}, False),
    ("attribute_not_exists(absent) OR size(absent) < :c", {":c": {"N": "0"}}, True),
]


@pytest.mark.parametrize(("condition", "values", "holds"), CONDITIONS)
def test_what_a_condition_compares(
    stage: Stage, condition: str, values: dict[str, Any], holds: bool
) -> None:
    row = Row(
        stage,
        status={"S": "RUNNING"},
        lease={"S": "mine"},
        n={"N": "10"},
        ids={"SS": ["a", "b"]},
        blank={"S": ""},
    )
    names = {"#s": "status"} if "#s" in condition else {}
    options = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    told = row.update(
        "REMOVE lease", condition, **{name: given for name, given in options.items() if given}
    )
    assert isinstance(told, Failed) != holds
    assert ("lease" in row.now) != holds


def test_an_update_tells_the_item_as_it_then_is(stage: Stage) -> None:
    row = Row(stage, a={"S": "old"}, due={"N": "7"}, found={"N": "3"})
    told = row.update(
        "SET a = :a, revoked = if_not_exists(revoked, :n), seen = if_not_exists(due, :n) "
        "REMOVE due, absent ADD #found :n, done :n, ids :ids",
        "a = :seen",
        ExpressionAttributeNames={"#found": "found"},
        ExpressionAttributeValues={
            ":a": {"S": ""},
            ":seen": {"S": "old"},
            ":n": {"N": "2"},
            ":ids": {"SS": ["x"]},
        },
    )
    assert told == row.key | {
        "a": {"S": ""},
        "revoked": {"N": "2"},
        "seen": {"N": "7"},
        "found": {"N": "5"},
        "done": {"N": "2"},
        "ids": {"SS": ["x"]},
    }
    assert row.now == {name: value for name, value in told.items() if name not in row.key}


@pytest.mark.parametrize(
    ("update", "options"),
    [
        ("SET status = :a", {"ExpressionAttributeValues": {":a": {"S": "x"}}}),
        ("SET sk = :a", {"ExpressionAttributeValues": {":a": {"S": "x"}}}),
        ("SET a = :a, a = :a", {"ExpressionAttributeValues": {":a": {"S": "x"}}}),
        ("SET a = :absent", {"ExpressionAttributeValues": {":a": {"S": "x"}}}),
        (
            "SET a = :a",
            {
                "ExpressionAttributeValues": {":a": {"S": "x"}},
                "ExpressionAttributeNames": {"#unused": "b"},
            },
        ),
        ("SET a = :a", {"ExpressionAttributeValues": {":a": {"S": "x"}, ":unused": {"S": ""}}}),
    ],
    ids=["reserved word", "key", "twice", "no value", "unused name", "unused value"],
)
def test_an_update_that_is_none_is_refused(
    stage: Stage, update: str, options: dict[str, Any]
) -> None:
    row = Row(stage, a={"S": "old"})
    with pytest.raises(ClientError, match="ValidationException"):
        row.update(update, "attribute_exists(pk)", **options)
    assert row.now == {"a": {"S": "old"}}
