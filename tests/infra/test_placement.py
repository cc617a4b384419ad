"""Where functions are: in which stack, and so on which topic. Who is there stays there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from many import many

from tidegate.errors import ConfigurationError
from tidegate.manifest import CronManifest, Manifest
from tidegate_cdk import placement
from tidegate_cdk.placement import FILLED_RESOURCES, MOST_RESOURCES, place, sharded


def used(manifest: Manifest, placed: placement.Placement) -> dict[int, int]:
    """The resources that the functions of each stack need."""
    found: dict[int, int] = {}
    for function in manifest.functions:
        stack = placed[function.id]
        found[stack] = found.get(stack, 0) + placement.resources(function)
    return found


def test_the_functions_of_a_small_stage_are_in_its_own_stack() -> None:
    assert set(place(many(38)).values()) == {0}
    assert set(place(many(39)).values()) == {0, 1}


def test_stacks_are_filled_one_after_the_other() -> None:
    manifest = many(450)
    filled = used(manifest, place(manifest))
    assert sorted(filled) == list(range(13))
    assert max(filled.values()) <= FILLED_RESOURCES


def test_a_function_keeps_its_stack_whoever_comes_and_goes() -> None:
    every = many(450)
    before = place(many(38))
    for count in (41, 100, 450):
        after = place(Manifest(every.functions[-count:]), before)
        assert before.items() <= after.items()
        assert max(used(every, after | place(every, after)).values()) <= MOST_RESOURCES
        before = after
    assert place(Manifest(every.functions[:3]), before) == before, "others may be deployed yet"


def test_crons_need_room_too() -> None:
    cron = CronManifest(cron="x", jitter_ms=0, timezone="UTC", schedules=("a", "b"))
    crons = tuple(replace(cron, cron=str(number)) for number in range(50))
    functions = [replace(f, crons=crons) for f in many(9).functions]
    manifest = Manifest(tuple(functions))
    assert max(used(manifest, place(manifest)).values()) <= FILLED_RESOURCES
    assert len(set(place(manifest).values())) == 3


def test_a_function_that_is_gone_takes_its_room() -> None:
    before = dict.fromkeys((function.id for function in many(41).functions), 0)
    with pytest.raises(ConfigurationError, match=r"stack 0: .* delete the lines of functions"):
        place(many(1), before)


def test_a_stack_that_has_become_too_full_is_an_error() -> None:
    manifest = many(42)
    with pytest.raises(ConfigurationError, match=r"stack 3: its 42 functions .* 462 resources"):
        place(manifest, {function.id: 3 for function in manifest.functions})


def test_four_stacks_share_a_topic() -> None:
    manifest = many(450)
    placed = place(manifest)
    # Where half of the functions are gone the others stay where they are, and so do the gone ones.
    rest = Manifest(manifest.functions[::2]).keeping(placed)
    assert place(rest, placed) == placed
    shards = {f.id: f.shard for f in sharded(rest, placed).deployed}
    assert len(shards) == 450
    assert {(placed[one], shard) for one, shard in shards.items()} == {
        (stack, stack // 4) for stack in range(13)
    }


def test_what_is_placed_is_written_down_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    first = placement.update(path, many(50))
    assert json.loads(path.read_text()) == first == place(many(50))
    written = path.stat().st_mtime_ns
    assert placement.update(path, many(50)) == first
    assert path.stat().st_mtime_ns == written, "nothing was new"
    assert placement.update(path, many(51)).items() >= first.items()


def test_a_file_is_needed_only_where_something_is_new(tmp_path: Path) -> None:
    path = tmp_path / "no" / "placement.json"
    with pytest.raises(ConfigurationError, match=r"placement\.json: .* cannot be written down"):
        placement.update(path, many(1))


@pytest.mark.parametrize("text", ["{", "[]", '{"a": -1}', '{"a": "0"}', '{"a": true}'])
def test_a_file_that_says_something_else_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "placement.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"placement\.json: "):
        placement.update(path, many(1))
    assert path.read_text() == text
