"""Cutting a list of events into requests."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.exchange import split

TEXTS = st.lists(st.text(max_size=30).map(lambda text: json.dumps(text).encode()), max_size=40)


@given(TEXTS, st.integers(1, 120), st.integers(1, 12))
def test_nothing_is_lost_or_reordered_and_both_limits_hold(
    texts: list[bytes], max_bytes: int, max_events: int
) -> None:
    batches = split(texts, max_bytes, max_events)
    held = [json.loads(batch.body) for batch in batches]
    assert [event for events in held for event in events] == [json.loads(text) for text in texts]
    assert [batch.count for batch in batches] == [len(events) for events in held]
    assert [batch.first for batch in batches] == [
        sum(batch.count for batch in batches[:n]) for n in range(len(batches))
    ]
    for batch in batches:
        assert 1 <= batch.count <= max_events
        assert len(batch.body) <= max_bytes or batch.count == 1


@given(TEXTS, st.integers(1, 120), st.integers(1, 12))
def test_no_request_could_have_taken_the_next_event_too(
    texts: list[bytes], max_bytes: int, max_events: int
) -> None:
    batches = split(texts, max_bytes, max_events)
    for one, next_one in pairwise(batches):
        one_more = len(one.body) + 1 + len(texts[next_one.first])
        assert one.count == max_events or one_more > max_bytes
