"""Which stack each function is in, and with it which topic its queue is subscribed to.

A stack has up to 500 resources, and a topic up to 200 subscriptions with a filter. The functions of
a small stage are all in the stage's own stack, number 0; more of them are in nested stacks, and
each four stacks share a topic.

A function that changed its stack would get a new queue, and lose what the old one holds. So a file
in the repository says where each function is, like a lock file: functions in it stay, new ones go
where there is room. Lines of functions that are gone stay, too, and with them their queues, so that
their runs that wait end; whoever deletes the line deletes the queue.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.errors import ConfigurationError
from tidegate.manifest import FunctionManifest, Manifest

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html: 500
# resources. In stack 0 is what all functions share, and the other stacks themselves: 55 or so with
# the default choices, up to 79 with every choice made.
FUNCTION_RESOURCES = 11
MOST_RESOURCES = 445
MOST_RESOURCES_AT_FIRST = 420
# New functions leave room for crons that are added to those that are there, and for merges of
# branches that each have added a function.
FILLED_RESOURCES = 400

# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html: 200 filter
# policies for a topic. A stack holds up to 41 functions, and the matcher is subscribed, too.
MAX_FILTERS = 200
STACKS_A_TOPIC = 4
# Beyond what one stage has room for; a larger number is a slip of the hand.
MAX_STACKS = 100
# That of an app and that of a function in it.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,256}")

Placement = Mapping[str, int]


def place(manifest: Manifest, before: Placement | None = None) -> dict[str, int]:
    """The stack of each function of a manifest, and of those that have been placed before.

    Args:
        manifest: the functions.
        before: where functions are already; None of a stage of which nothing is written down.

    Raises:
        ConfigurationError: the functions of a stack have become more than it can hold.
    """
    total = sum(resources(function) for function in manifest.deployed)
    if before is None and total <= MOST_RESOURCES_AT_FIRST:
        return {function.id: 0 for function in manifest.deployed}
    placed = dict(before or {})
    used: dict[int, int] = {}
    weights = {function.id: resources(function) for function in manifest.deployed}
    for function_id, stack in placed.items():
        used[stack] = used.get(stack, 0) + weights.get(function_id, FUNCTION_RESOURCES)
    for function in manifest.deployed:
        if function.id not in placed:
            weight = resources(function)
            stack = next(n for n in range(len(used) + 1) if _has_room(used.get(n, 0), weight))
            placed[function.id] = stack
            used[stack] = used.get(stack, 0) + weight
    _check(placed, used)
    return placed


def resources(function: FunctionManifest) -> int:
    """How many resources of a stack a function needs."""
    return FUNCTION_RESOURCES + sum(len(cron.schedules) for cron in function.crons)


def sharded(manifest: Manifest, placed: Placement) -> Manifest:
    """The manifest with the shard of each function."""
    functions, removed = (
        tuple(replace(one, shard=placed[one.id] // STACKS_A_TOPIC) for one in group)
        for group in (manifest.functions, manifest.removed)
    )
    return Manifest(functions, removed)


def by_stack(manifest: Manifest, placed: Placement) -> dict[int, list[FunctionManifest]]:
    """The functions of each stack."""
    found: dict[int, list[FunctionManifest]] = {}
    for function in manifest.deployed:
        found.setdefault(placed[function.id], []).append(function)
    return found


def read(path: Path) -> dict[str, int] | None:
    """The placement in a file; None when there is no such file.

    Raises:
        ConfigurationError: the file is not what this module writes.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read: {error}") from None
    try:
        placed = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: this is not JSON: {error}") from None
    if not isinstance(placed, dict):
        raise ConfigurationError(f"{path}: it is no object of functions' ids and their stacks")
    for function_id, stack in placed.items():
        if not _ID.fullmatch(function_id):
            raise ConfigurationError(f"{path}: {ascii(function_id)[:100]} is no function's id")
        if type(stack) is not int or not 0 <= stack < MAX_STACKS:
            raise ConfigurationError(
                f"{path}: the stack of {function_id[:100]} is a number from 0 to {MAX_STACKS - 1}"
            )
    return placed


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of its members; two branches may both have added a function before they met."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"{ascii(double)[:100]} is there twice; keep the line of the stack it is deployed in"
        )
    return found


def update(path: Path, manifest: Manifest) -> dict[str, int]:
    """The placement of a manifest's functions, which is written down when it is new.

    Raises:
        ConfigurationError: a stack is too full, or the file cannot be read or written.
    """
    before = read(path)
    placed = place(manifest, before)
    if placed != before:
        try:
            # As a whole or not at all: half a file would have functions change their stacks.
            new = path.with_name(f"{path.name}.new")
            new.write_text(json.dumps(placed, indent=2, sort_keys=True) + "\n")
            os.replace(new, path)
        except OSError as error:
            raise ConfigurationError(
                f"{path}: the stacks of functions cannot be written down: {error}"
            ) from None
    return placed


def _has_room(used: int, weight: int) -> bool:
    return used == 0 or used + weight <= FILLED_RESOURCES


def _check(placed: Placement, used: Mapping[int, int]) -> None:
    for stack, total in sorted(used.items()):
        if total > MOST_RESOURCES:
            count = list(placed.values()).count(stack)
            raise ConfigurationError(
                f"stack {stack}: its {count} functions and their crons are {total} "
                f"resources, and there is room for {MOST_RESOURCES}; delete the lines of functions "
                "that were removed, give some of the others other ids, or another stack in the "
                "placement, once their runs have ended"
            )
