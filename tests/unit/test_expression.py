"""What expressions mean: CEL, and how it is loosened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import celpy
import pytest

from tests.clock import FakeClock
from tidegate import ConfigurationError, TriggerEvent
from tidegate.expression import ExpressionError, compile_expression, match_expression
from tidegate.function import make_function
from tidegate.manifest import Manifest

NOW_MS = int(datetime(2026, 3, 14, 12, 30, 5, 250_000, tzinfo=UTC).timestamp() * 1000)
EVENT = {
    "name": "app/order",
    "id": "01",
    "ts": NOW_MS - 1000,
    "user": {"role": "admin"},
    "data": {
        "n": 10,
        "half": 0.5,
        "big": 9007199254740993,
        "text": "Hello",
        "empty": "",
        "yes": True,
        "no": False,
        "null": None,
        "list": [1, 2, 3],
        "none": [],
        "items": [{"sku": "a", "price": 5}, {"sku": "b", "price": 50}, {"sku": "c"}],
        "map": {"k": 1, "with space": "x"},
        "json": '{"a": {"b": 7}}',
        "b64": "SGVsbG8=",
        "when": "2026-03-14T10:00:00+02:00",
        "bad": "not a date",
    },
}


def holds(text: str, event: Any = EVENT, **more: Any) -> bool:
    return compile_expression(text).matches(event=event, now_ms=NOW_MS, **more)


TRUE = """
event.name == 'app/order' && event.user.role == "admin" && event.id == '01'
event.data.n == 10
event.data.n == 10.0
event.data.n == 10u
event.data.n != 10.5
event.data.n > 9 && event.data.n >= 10 && event.data.n < 10.5 && event.data.n <= 10
event.data.half < 1
2 in event.data.list
2.0 in event.data.list
event.data.n in [1, 10.0]
event.data.list == [1, 2, 3]
event.data.list == [1.0, 2, 3]
event.data.list != [1, 2]
event.data.map == {'k': 1, 'with space': 'x'}
'k' in event.data.map
event.data["map"]["with space"] == 'x'
event.data.list[0] == 1
event.data.list[event.data.list.size() - 1] == 3
event.data.text != 10
event.data.text == 'Hello'
'a' < 'b'
event.data.big == 9007199254740993
event.data.big != 9007199254740992
event.data.missing == null
event.data.missing.deeper == null
event.data.n.deeper == null
event.data.list[7] == null
event.data.missing != 'x'
event.data.missing < 1
event.data.missing <= 1
event.data.missing < 'x'
1 > event.data.missing
size(event.data.missing) == 0
event.data.missing.size() == 0
event.data.missing != event.data.other
event.data.missing + 'x' == 'x'
event.data.null == null
event.data.null != 'x'
event.data.null < 1
event.data.null >= 0
event.data.null < 'a'
event.data.text && event.data.n && event.data.yes
(event.data.empty || 'other') == 'other'
(event.data.text || 'other') == 'Hello'
(event.data.n && event.data.text) == 'Hello'
event.data.none && true
event.data.map && true
event.data.missing || event.data.n == 10
event.data.text > 5 || event.data.n == 10
event.data.empty ? false : true
event.data.text ? event.data.n == 10 : false
event.data.missing ? false : true
!event.data.no
!(event.data.n > 10)
!!event.data.yes
'Hello' + 10 == 'Hello10'
event.data.text + event.data.n == 'Hello10'
1 + '2' == '12'
'is ' + event.data.yes == 'is true'
event.data.text + event.data.half == 'Hello0.5'
string(event.data.n) == '10'
event.data.n / 4 == 2.5
5 / 2 == 2 && -5 / 2 == -2 && 5 % 3 == 2 && -5 % 3 == -2
event.data.n % 3 == 1
2 + 3 * 4 == 14 && (2 + 3) * 4 == 20
-event.data.n == -10
10 - 4 - 3 == 3
event.data.n -1 == 9
[1] + [2] == [1, 2]
has(event.data.n) && has(event.data.null) && !has(event.data.missing)
!has(event.data.missing.deeper)
event.data.list.all(x, x > 0)
event.data.list.exists(x, x == 2)
event.data.list.exists_one(x, x > 2)
event.data.list.filter(x, x > 1) == [2, 3]
event.data.list.map(x, x * 2) == [2, 4, 6]
event.data.list.map(x, x > 1, x * 2) == [4, 6]
event.data.items.exists(item, item.price > 40 && item.sku == 'b')
event.data.items.exists(item, item.sku > 5 || item.price == 50)
event.data.map.all(key, key != '')
event.data.items.exists(i, event.data.list.exists(x, x * 5 == i.price))
event.data.none.all(x, false) && !event.data.none.exists(x, true)
event.data.text.startsWith('He') && event.data.text.endsWith('lo')
event.data.text.contains('ell')
event.data.text.matches('^H.*o$') && matches(event.data.text, 'l+')
size(event.data.text) == 5 && event.data.list.size() == 3 && size(event.data.map) == 2
size(event.data.null) == 0
lowercase(event.data.text) == 'hello' && uppercase(event.data.text) == 'HELLO'
b64decode(event.data.b64) == 'Hello'
json_parse(event.data.json).a.b == 7
int('42') == 42 && double('1.5') == 1.5 && int(2.9) == 2 && bool('true') && uint(3) == 3u
bytes('a') == b'a'
dyn(event.data.n) == 10
date(event.data.when) == timestamp('2026-03-14T08:00:00Z')
date(event.data.when) < now()
date(event.ts) + duration('1s') == now()
date(1773491405) < now() && date(1773491405000) < now()
now_plus('1h') > now() && now_minus('1h30m') < now()
now_plus('7d') - now() == duration('168h')
now() - date(event.ts) == duration('1000ms')
now().getFullYear() == 2026 && now().getMonth() == 2 && now().getDate() == 14
now().getDayOfMonth() == 13 && now().getDayOfWeek() == 6 && now().getDayOfYear() == 72
now().getHours() == 12 && now().getMinutes() == 30 && now().getSeconds() == 5
now().getMilliseconds() == 250
now().getHours('Asia/Tokyo') == 21 && now().getHours('-02:00') == 10
duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90
r'a\\d' == 'a\\\\d' && "tab\\t" != 'tab' && 'it\\'s' == "it's" && '\\u00e9' == 'é'
'''long
text''' != ''
event.v == null
"""

FALSE = """
event.data.n == '10'
event.data.yes == 1
event.data.text == 'hello'
event.data.missing == 'x'
event.data.missing != null
event.data.missing > 1
event.data.missing >= 1
1 < event.data.missing
event.data.missing == event.data.other
event.data.null == 0
event.data.null == ''
event.data.null == false
event.data.null > 100
!event.data.missing
event.data.missing
event.data.missing && true
event.data.missing in ['x']
'x' in event.data.missing
event.data.missing.contains('x')
event.data.missing.startsWith('')
lowercase(event.data.missing) == ''
event.data.missing.all(x, true)
event.data.missing.exists(x, true)
event.data.list.contains == 1
0 in event.data.list
'1' in event.data.list
event.data.text < 'A'
async.data.x == 'a'
vars.x == 'a'
"""

ERRORS = [
    ("event.data.n", "number"),
    ("event.data.text", "string"),
    ("event.data.null", "null"),
    ("event.data.list", "list"),
    ("event.data.n && event.data.text", "string"),
    ("event.data.n > '5'", "number and string"),
    ("event.data.text > 5", "string and number"),
    ("event.data.yes > 0", "bool and number"),
    ("event.data.list > 1", "list and number"),
    ("event.data.list < event.data.list", "list and list"),
    ("event.data.null < null", "null and null"),
    ("event.data.missing * 2 > 10", "bool and number"),
    ("!event.data.n", "number"),
    ("1 / 0 == 1", "zero"),
    ("event.data.n / 0 == 1", "zero"),
    ("event.data.yes + 1 == 2", "bool"),
    ("event.data.n in event.data.text", "'in'"),
    ("event.data.n.startsWith('1')", "number is no string"),
    ("date(event.data.bad) < now()", "not a date"),
    ("now_plus('soon') > now()", "'soon' is no duration"),
    ("event.data.text.matches('[')", "no regular expression"),
    ("json_parse(event.data.text).a == 1", "json|JSON|expected"),
    ("b64decode('*') == ''", "base64"),
    ("int('x') == 1", "invalid literal"),
    ("event.data.n.all(x, true)", "no elements"),
    ("now().getHours('Nowhere/At_all') == 1", "Nowhere"),
]


def lines(text: str) -> list[str]:
    """One expression a line; what is indented or in triple quotes goes on with the one before."""
    found: list[str] = []
    for line in text.strip().replace("\\\\", "\\").splitlines():
        if found and found[-1].count("'''") % 2:
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


@pytest.mark.parametrize("text", lines(TRUE))
def test_true(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize("text", lines(FALSE))
def test_false(text: str) -> None:
    assert holds(text) is False


@pytest.mark.parametrize(("text", "reason"), ERRORS)
def test_what_has_no_answer_says_why(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason) as raised:
        holds(text)
    assert text in str(raised.value).replace("\\'", "'")


STRICT = """
1 + 2 * 3 - 4 == 3
7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1
1.5 * 2.0 == 3.0
'abc' + 'def' == 'abcdef'
'abc' < 'abd' && 'B' < 'a'
false < true
!(1 == 2) || 1 == 2
1 == 1 ? 'a' == 'a' : false
[1, 2, 3].map(x, x * x).filter(x, x > 1) == [4, 9]
[1, 2, 3].exists_one(x, x > 2) && [1, 2].all(x, x < 3) && ![1].exists(x, x == 2)
{'a': 1}.a == 1 && 'a' in {'a': 1} && 1 in [1, 2]
size('äöü') == 3 && size([1, 2]) == 2
'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'hello'.contains('ell')
'hello'.matches('h.*o')
int('7') == 7 && string(7) == '7' && double('2.5') == 2.5
timestamp('2026-03-14T08:00:00Z').getFullYear() == 2026
timestamp('2026-03-14T08:00:00Z').getDayOfWeek() == 6
timestamp('2026-03-14T08:00:00Z').getDayOfYear() == 72
timestamp('2026-03-14T08:00:00Z') + duration('1h') == timestamp('2026-03-14T09:00:00Z')
duration('90m').getHours() == 1
1 > 2 || 2 > 1 && 3 > 2
"""


@pytest.mark.parametrize("text", lines(STRICT))
def test_where_types_fit_it_is_the_library_s_cel(text: str) -> None:
    environment = celpy.Environment()
    assert holds(text) == bool(environment.program(environment.compile(text)).evaluate({})) is True


def test_two_events_and_variables_are_bound() -> None:
    later = {"name": "app/paid", "data": {"order": "01", "n": 10}}
    assert holds("event.id == async.data.order", async_event=later)
    assert not holds("event.id == async.data.n", async_event=later)
    assert holds("vars.limit > event.data.n", variables={"limit": 11})


def test_a_field_that_two_events_share() -> None:
    text = match_expression("data.n")
    assert text == "event.data.n == async.data.n"
    assert holds(text, async_event={"data": {"n": 10.0}})
    assert not holds(text, async_event={"data": {"n": 11}})
    assert not holds(match_expression("data.x"), async_event={"data": {}})


def test_now_is_the_time_it_is_given() -> None:
    expression = compile_expression("now() > date('2026-01-01')")
    clock = FakeClock()
    clock.ms = int(datetime(2025, 12, 31, tzinfo=UTC).timestamp() * 1000)
    assert not expression.matches(event={}, now_ms=clock.now_ms())
    clock.ms = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1000)
    assert expression.matches(event={}, now_ms=clock.now_ms())


# --- registration ---------------------------------------------------------------------------------


def register(text: str) -> Manifest:
    function = make_function(
        lambda ctx: None,
        app_id="shop",
        fn_id="f",
        trigger=TriggerEvent(event="a", expression=text),
        name=None,
        retries=0,
    )
    return Manifest.of([function])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "ends too early"),
        ("event.data.x ==", "ends too early"),
        ("event.data[", "ends too early"),
        ("event.data.a &&& event.data.b", "column 16: this character"),
        ("event.data.a = 1", "column 14: this character"),
        ("event.data.a == 'x", "column 17: this character"),
        ("event.data.a == 1 &&\n )", r"line 2, column 2: '\)' does not belong"),
        ("event.data.a == 1 2", "column 19: '2' does not belong"),
        ("data.x == 1", "column 1: unknown name 'data'; there are async, event, vars"),
        ("event.data.x == y", "column 17: unknown name 'y'"),
        ("event.data.l.all(x, x > 1) && x", "column 31: unknown name 'x'"),
        ("event.data.l.all(x.y, true)", "column 14: all.. takes a variable first"),
        ("event.data.l.all(x)", "column 14: all.. takes a variable and an expression"),
        ("event.data.x.lowerAscii() == 'x'", "column 14: there is no function .lowerAscii"),
        ("lower(event.data.x) == 'x'", "column 1: there is no function lower"),
        ("now(1) < now()", "column 1: now.. does not take 1 arguments"),
        ("event.data.x.startsWith() == 1", "column 14: .startsWith.. does not take 0 arguments"),
        ("has(event)", "column 1: has.. takes a field"),
        ("has(event.data.x, 1)", "column 1: has.. takes a field"),
        ("event.data{a: 1}", "messages cannot be made"),
        ("event.data.x == 99999999999999999999", "column 17: .* more than 64 bits"),
        ("event.data.x == 1e999", "column 17: .* too large"),
        ("!" * 200 + "true", "nested too deeply"),
        (" + ".join(["1"] * 200) + " == 200", "nested too deeply"),
        ("'" + "x" * 5000 + "' == event.data.x", "at most 4096"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){fault}") as raised:
        register(text)
    assert "test_expression.py:" in str(raised.value)
    assert "function 'shop-f'" in str(raised.value)


def test_hundreds_of_terms_are_one_level() -> None:
    text = " || ".join(f"event.data.n == {number}" for number in range(180))
    assert holds(text)
    assert not holds(text, {"data": {"n": 999}})


def test_a_manifest_carries_what_was_read() -> None:
    manifest = register("event.data.text.startsWith('é\\n') && event.data.n in [1, 2.5, null]")
    again = Manifest.decode(manifest.encode())
    assert again == manifest
    (expression,) = again.functions[0].expressions
    assert again.expression("shop-f", expression.text) is expression
    assert expression.matches(event={"data": {"text": "é\nx", "n": None}}, now_ms=0)
