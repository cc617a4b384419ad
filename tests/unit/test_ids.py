"""ULIDs: seeds as Inngest's clients make them, ids derived from what they stand for."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.ids import Seed, derived_ulid, is_ulid, random_ulid, run_id_of, ulid_at, ulid_ms

ULID = "01JQDAE4RQ0000000000000001"
MS = 1_743_130_137_367


def test_a_seed_counts_from_one() -> None:
    seed = Seed.parse(f"{MS},AAAAAAAAAAAAAA==")
    assert seed is not None
    assert [seed.ulid(1), seed.ulid(2)] == [ULID, "01JQDAE4RQ0000000000000002"]


def test_only_the_last_four_bytes_count_and_they_wrap() -> None:
    seed = Seed(MS, b"abcdef\xff\xff\xff\xff")
    assert seed.ulid(1) == ulid_at(MS, b"abcdef\x00\x00\x00\x00")
    assert seed.ulid(2) == ulid_at(MS, b"abcdef\x00\x00\x00\x01")
    assert seed.ulid(2**32) == ulid_at(MS, seed.entropy)


@given(st.integers(1, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_header_is_read_as_it_was_written(ms: int, entropy: bytes) -> None:
    seed = Seed(ms, entropy)
    assert Seed.parse(seed.header) == seed
    assert ulid_ms(seed.ulid(1)) == ms


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ",",
        str(MS),
        f"{MS},",
        f"{MS},AAAAAAAAAAAAAA",
        f"{MS},AAAAAAAAAAAAAA=",
        f"{MS},AAAAAAAAAAAAAA===",
        f"{MS},AAAAAAAAAAAAAA==,",
        f"{MS},AAAAAAAAAAAAAA== ",
        f" {MS},AAAAAAAAAAAAAA==",
        f"{MS}, AAAAAAAAAAAAAA==",
        f"{MS},AAAAAAAAAAAA",
        f"{MS},AAAAAAAAAAAAAAA=",
        f"{MS},_-AAAAAAAAAAAA==",
        f"{MS},ÄÄAAAAAAAAAAAA==",
        f"{MS},\ud800",
        "0,AAAAAAAAAAAAAA==",
        "-1,AAAAAAAAAAAAAA==",
        "+1,AAAAAAAAAAAAAA==",
        "1.5,AAAAAAAAAAAAAA==",
        "²,AAAAAAAAAAAAAA==",
        "٣,AAAAAAAAAAAAAA==",
        f"{2**48},AAAAAAAAAAAAAA==",
        f"{'9' * 5000},AAAAAAAAAAAAAA==",
    ],
)
def test_a_malformed_seed_is_none(header: str | None) -> None:
    assert Seed.parse(header) is None


@given(st.text(max_size=40))
def test_any_text_is_a_seed_or_none(header: str) -> None:
    assert Seed.parse(header) is None or header.count(",") == 1


def test_seeds_are_random_or_derived() -> None:
    assert Seed.random(MS) != Seed.random(MS)
    assert Seed.derived(MS, "run", "step") == Seed.derived(MS, "run", "step")
    assert Seed.derived(MS, "run", "step") != Seed.derived(MS, "runs", "tep")
    assert len(base64.b64decode(Seed.derived(MS).header.partition(",")[2])) == 10


def test_a_run_has_the_same_id_for_ever() -> None:
    # Runs are found by it after an upgrade, too: it must not change.
    assert run_id_of("prod", "shop-send-receipt", ULID) == "01JQDAE4RQKEFG774YHMEXQFM1"
    assert ulid_ms(run_id_of("prod", "shop-send-receipt", ULID)) == MS


def test_a_run_id_depends_on_all_of_its_parts() -> None:
    ids = {
        run_id_of("prod", "a", ULID),
        run_id_of("dev", "a", ULID),
        run_id_of("prod", "b", ULID),
        run_id_of("prod", "a", ULID[:-1] + "2"),
        run_id_of("proda", "", ULID),
    }
    assert len(ids) == 5
    assert all(is_ulid(run_id) for run_id in ids)


def test_random_ulids_carry_their_time() -> None:
    one, other = random_ulid(MS), random_ulid(MS)
    assert one != other
    assert ulid_ms(one) == ulid_ms(other) == MS
    assert derived_ulid(MS, "a") == derived_ulid(MS, "a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ULID.lower(),
        ULID[:-1],
        ULID + "0",
        ULID + "\n",
        "8" + ULID[1:],
        "0I" + ULID[2:],
        "ü" * 26,
    ],
)
def test_what_is_no_ulid(text: str) -> None:
    assert not is_ulid(text)
    assert is_ulid(ULID)
    assert is_ulid("7" + "Z" * 25)
