"""What a trigger says of an event's name is what SNS does with the function's subscription."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.aws.conftest import ENV, Stage
from tidegate.aws import client
from tidegate.event import check_events
from tidegate.event_pattern import filter_policy
from tidegate.function import MAX_TRIGGERS, Function, make_function
from tidegate.ids import Seed
from tidegate.trigger import TriggerEvent

# Few letters, so that names and triggers meet; case, accents and what is special elsewhere. No
# double quote: moto reads a value that is JSON as JSON, and so takes the name `"A"` for `A`.
ALPHABET = "aAbé🎉/.*_- \\'"
NAMES = st.text(ALPHABET, min_size=1, max_size=5)
PIECES = st.text(ALPHABET.replace("*", ""), min_size=1, max_size=4)
TRIGGERS = st.one_of(
    PIECES, st.builds("{}{}*".format, PIECES, st.sampled_from("/.")), st.sampled_from(["/*", ".*"])
).map(lambda name: TriggerEvent(event=name))
TRIGGER_SETS = st.lists(TRIGGERS, min_size=1, max_size=MAX_TRIGGERS, unique=True)


def triggers(*names: str) -> list[TriggerEvent]:
    return [TriggerEvent(event=name) for name in names]


@pytest.fixture
def listener(stage: Stage) -> Function:
    """A function whose filter each example sets anew."""
    function = make_function(
        lambda ctx: None,
        app_id="test",
        fn_id="listener",
        trigger=TriggerEvent(event="a"),
        name=None,
        retries=0,
    )
    stage.deploy(function)
    return function


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TRIGGER_SETS, st.lists(NAMES, max_size=10), st.data())
@example(triggers("a/*"), ["a/", "a/*", "a", "A/a", "aa/", "/a/"], None)
@example(triggers("a.b", "a.*"), ["a.b", "a.B", "a.", "axb"], None)
@example(triggers("a"), ["a", "A", "a ", "aa"], None)
def test_matching_equals_delivery(
    stage: Stage,
    listener: Function,
    wanted: list[TriggerEvent],
    names: list[str],
    data: st.DataObject | None,
) -> None:
    if data is not None:
        # Names that begin as the triggers do, or a random one would seldom match.
        starts = st.sampled_from([trigger.event for trigger in wanted])
        names += data.draw(
            st.lists(st.builds("{}{}".format, starts, st.text(ALPHABET, max_size=2)))
        )
        names += [trigger.prefix or trigger.event for trigger in wanted]
    client("sns").set_subscription_attributes(
        SubscriptionArn=stage.cloud.wiring[listener.id].subscription_arn,
        AttributeName="FilterPolicy",
        AttributeValue=json.dumps(filter_policy(wanted, "@f")),
    )
    seed = Seed.random(stage.clock.ms)
    events = [
        event.accept(seed.ulid(number), ENV, stage.clock.ms)
        for number, event in enumerate(check_events([{"name": name} for name in names]))
    ]
    stage.admission.bus.publish(events)
    delivered = {message.event.internal_id for message in stage.messages(listener)}
    matching = {e.internal_id for e in events if any(t.matches(e.name) for t in wanted)}
    assert delivered == matching


@given(TRIGGER_SETS, st.data())
def test_a_policy_is_small_and_says_nothing_twice(
    wanted: list[TriggerEvent], data: st.DataObject
) -> None:
    policy = filter_policy(wanted, "@f")
    # https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
    assert policy.keys() == {"name"}
    assert 1 <= len(policy["name"]) <= MAX_TRIGGERS + 1 <= 150
    prefixes = [value["prefix"] for value in policy["name"] if isinstance(value, dict)]
    exact = [value for value in policy["name"] if isinstance(value, str)]
    assert not [(one, other) for one, other in permutations(prefixes, 2) if one.startswith(other)]
    assert not [name for name in exact if name.startswith(tuple(prefixes))]
    assert filter_policy(data.draw(st.permutations(wanted)), "@f") == policy


def test_overlapping_triggers_become_the_widest() -> None:
    names = ("app/*", "app/user.*", "app/user.created", "b", "app/", "b.*", "b.c.*")
    assert filter_policy(triggers(*names), "@f") == {
        "name": ["@f", "b", {"prefix": "app/"}, {"prefix": "b."}]
    }


def test_ten_of_the_longest_triggers_are_one_policy_that_sns_takes(
    stage: Stage, listener: Function
) -> None:
    longest = triggers(*(f"{n}{'ü' * 253}/*" for n in range(MAX_TRIGGERS)))
    client("sns").set_subscription_attributes(
        SubscriptionArn=stage.cloud.wiring[listener.id].subscription_arn,
        AttributeName="FilterPolicy",
        AttributeValue=json.dumps(filter_policy(longest, "@f")),
    )
    stage.send({"name": "9" + "ü" * 253 + "/x"}, {"name": "9" + "ü" * 252 + "/x"})
    assert len(stage.messages(listener)) == 1
