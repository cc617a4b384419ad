"""Keys that may send events of some names only: what they send changes nothing of other events.

Such a key is public where a page in a browser has it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.gateway import Answer, ask, request
from tidegate.aws import client
from tidegate.dedup import DedupTable
from tidegate.errors import PlatformError
from tidegate.ids import Seed
from tidegate.ingest import Ingest
from tidegate.key import Key, StoredKeys
from tidegate.testing.memory import MemoryDedup

pytestmark = pytest.mark.storage

PROD = "prod"
PAID = {"name": "billing/paid", "data": {"amount": 1}}
CLICK = {"name": "web/click", "data": {"amount": 999_999}}
SEED = Seed(1_743_130_137_367, b"0123456789")


class Senders:
    """A server, whose key may send everything, and a page, whose key may send `web/*`."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.keys = StoredKeys(stage.settings.keys_table, stage.clock)
        self.server = self.keys.create("event", PROD)
        self.page = self.keys.create("event", PROD, event_names=["web/*"])

    def post(self, secret: str, events: Any, seed: Seed | None = None) -> Answer:
        headers = {"x-inngest-event-id-seed": seed.header} if seed else {}
        ingest = Ingest(self.keys, self.stage.admission, 1_000_000)
        return ask(ingest.handle, request(events, path=f"/e/{secret}", headers=headers))

    def send(self, secret: str, events: Any, seed: Seed | None = None) -> list[str]:
        answer = self.post(secret, events, seed)
        assert answer.status == 200
        return list(answer.content["ids"])

    def stored(self, ids: Sequence[str]) -> list[tuple[str, Any]]:
        """The names and the data of the events with these ids."""
        found = [self.stage.store.get(PROD, one, self.stage.clock.ms) for one in ids]
        return [(one.name, one.event.data) for one in found if one is not None]


@pytest.fixture
def senders(stage: Stage) -> Senders:
    return Senders(stage)


@pytest.mark.parametrize("pad", ["", "x" * 70_000], ids=["small", "large"])
def test_no_seed_of_theirs_leads_to_an_event_of_somebody_else(senders: Senders, pad: str) -> None:
    paid = {**PAID, "data": {"amount": 1, "pad": pad}}
    ids = senders.send(senders.server, paid, SEED)
    forged = senders.send(senders.page, {**CLICK, "data": {"amount": 2, "pad": pad}}, SEED)
    assert forged != ids
    assert senders.stored(ids) == [(PAID["name"], paid["data"])]


def test_their_seeds_give_the_same_ids_again(senders: Senders) -> None:
    ids = senders.send(senders.page, [CLICK, CLICK], SEED)
    assert senders.send(senders.page, [CLICK, CLICK], SEED) == ids
    replaced = senders.keys.create("event", PROD, event_names=["web/*"])
    assert senders.send(replaced, [CLICK, CLICK], SEED) == ids, "rotation starts nothing twice"
    other = Seed(SEED.ms, b"0123456780")
    assert not set(senders.send(senders.page, [CLICK, CLICK], other)) & set(ids)


def test_what_a_seed_becomes_depends_on_what_may_be_sent_alone() -> None:
    one, same, more = (
        Key("event", PROD, event_names=names).seed(SEED.header)
        for names in (("a", "b"), ("b", "a", "b"), ("a", "b", "c"))
    )
    assert one == same != more
    assert Key("event", PROD).seed(SEED.header) == SEED
    assert Key("event", PROD, event_names=("a",)).seed("none") is None


def test_no_id_that_they_take_keeps_another_name_away(senders: Senders) -> None:
    [click] = senders.send(senders.page, {**CLICK, "id": "order-1"})
    [paid] = senders.send(senders.server, {**PAID, "id": "order-1"})
    assert senders.stored([click, paid]) == [
        (CLICK["name"], CLICK["data"]),
        (PAID["name"], PAID["data"]),
    ]
    assert senders.send(senders.server, {**PAID, "id": "order-1"}) == [paid], "once all the same"
    assert senders.send(senders.page, {**CLICK, "id": "order-1"}) == [click]


def test_they_do_not_learn_the_internal_id_of_another_names_event(senders: Senders) -> None:
    [paid] = senders.send(senders.server, {**PAID, "id": "order-1"})
    [click] = senders.send(senders.page, {**CLICK, "id": "order-1"})
    assert click != paid
    assert senders.send(senders.page, {**CLICK, "id": "order-1"}) == [click]
    assert senders.send(senders.server, {**PAID, "id": "order-1"}) == [paid]


def test_an_event_that_page_and_server_both_send_is_one(senders: Senders) -> None:
    bought = {"name": "web/bought", "id": "order-1"}
    [first] = senders.send(senders.page, bought)
    assert senders.send(senders.server, bought) == [first]
    other = {"name": "web/bought", "id": "order-2"}
    [second] = senders.send(senders.server, other)
    assert senders.send(senders.page, other) == [second]


def test_a_day_is_counted_from_the_first_that_may_send_everything(
    senders: Senders, stage: Stage
) -> None:
    """However long before an id was taken by somebody who may not send that name."""
    senders.send(senders.page, {**CLICK, "id": "order-1"})
    stage.clock.advance(seconds=23 * 3600)
    [paid] = senders.send(senders.server, {**PAID, "id": "order-1"})
    [click] = senders.send(senders.page, {**CLICK, "id": "order-1"})
    stage.clock.advance(seconds=2 * 3600)
    assert senders.send(senders.server, {**PAID, "id": "order-1"}) == [paid]
    [later] = senders.send(senders.page, {**CLICK, "id": "order-1"})
    assert later not in (paid, click), "its day is over"
    stage.clock.advance(seconds=23 * 3600)
    [again] = senders.send(senders.server, {**PAID, "id": "order-1"})
    assert again not in (paid, click, later)


def test_who_takes_an_id_turns_no_deduplication_off(senders: Senders) -> None:
    senders.send(senders.page, {**CLICK, "id": "order-1"})
    [paid] = senders.send(senders.server, {**PAID, "id": "order-1"})
    assert senders.send(senders.server, {"name": "billing/booked", "id": "order-1"}) == [paid]


def test_the_longest_name_can_have_an_id(senders: Senders) -> None:
    name = "web/" + "\U0001f600" * 252
    key = senders.keys.create("event", PROD, event_names=[name])
    [first] = senders.send(key, {"name": name, "id": "x" * 2_000})
    assert senders.send(key, {"name": name, "id": "x" * 2_000}) == [first]


def test_a_request_that_died_between_its_claims_is_safe_to_repeat(
    senders: Senders, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        claim = DedupTable.claim

        def dying(table: DedupTable, *asked: Any, **how: Any) -> Any:
            if not how["by_name"]:
                raise PlatformError("DynamoDB is away")
            return claim(table, *asked, **how)

        patch.setattr(DedupTable, "claim", dying)
        assert senders.post(senders.page, {**CLICK, "id": "order-1"}).status == 503
    [click] = senders.send(senders.page, {**CLICK, "id": "order-1"})
    assert senders.send(senders.page, {**CLICK, "id": "order-1"}) == [click]
    assert senders.stored([click]) == [(CLICK["name"], CLICK["data"])]
    assert client("dynamodb").scan(TableName=stage.settings.events_table)["Count"] == 1


def test_across_names_an_id_of_keys_without_limits_is_taken_once(senders: Senders) -> None:
    [paid] = senders.send(senders.server, {**PAID, "id": "order-1"})
    assert senders.send(senders.server, {**CLICK, "id": "order-1"}) == [paid]


def test_a_name_and_an_id_are_told_apart(senders: Senders) -> None:
    """Whatever characters they are of: `a#id#b` with `c` is not `a` with `b#id#c`."""
    key = senders.keys.create("event", PROD, event_names=["a", "a#id#b"])
    for sender_id in ("c", "b#id#c"):
        senders.send(senders.server, {"name": "x", "id": sender_id})
    [one] = senders.send(key, {"name": "a#id#b", "id": "c"})
    [two] = senders.send(key, {"name": "a", "id": "b#id#c"})
    assert one != two
    assert [name for name, _ in senders.stored([one, two])] == ["a#id#b", "a"]


def test_memory_gives_the_same_claims(stage: Stage) -> None:
    """What the test kit has in place of the table."""
    table, memory = DedupTable(stage.settings.dedup_table), MemoryDedup()
    chance, now_ms = random.Random(7), stage.clock.ms
    for number in range(300):
        now_ms += chance.choice((0, 1_000, 9 * 3_600_000))
        how = {name: chance.random() < 0.4 for name in ("is_limited", "by_name")}
        asked = (PROD, chance.choice("xy"), f"id-{number}", chance.choice("ab"), now_ms)
        assert table.claim(*asked, **how) == memory.claim(*asked, **how), number
