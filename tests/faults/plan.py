"""Plans: which calls go wrong, and how."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.faults.fault import (
    KINDS,
    AnswerLost,
    Call,
    Crash,
    CutOff,
    Disconnected,
    DoneInPart,
    Fault,
    ServerError,
    Slow,
    Throttled,
    TimedOut,
    Unreachable,
)
from tests.handler_calls import HANDLERS, action_of, resources_of

# How often each kind happens, of those that can happen to a call.
_WEIGHTS: dict[type[Fault], float] = {
    Throttled: 20,
    ServerError: 12,
    Unreachable: 8,
    TimedOut: 8,
    AnswerLost: 16,
    Disconnected: 8,
    Slow: 10,
    DoneInPart: 40,
    CutOff: 40,
}
# A crash ends all that its process does: one request, or ten messages, each of which it costs an
# attempt, and half an hour of virtual time.
_WEIGHTS_OF_CRASHES = {"ingest": 8.0}
_WEIGHT_OF_OTHER_CRASHES = 0.5
_VARIANTS = 6


class RandomFaults:
    """Lets each attempt of a call fail with the same probability.

    Args:
        seed: the same seed gives the same faults to the same calls.
        rate: how many of all attempts fail, 0 to 1.
    """

    def __init__(self, seed: int, rate: float) -> None:
        self._random = random.Random(seed)
        self._rate = rate

    def fault(self, call: Call) -> Fault | None:
        """What happens to one attempt of a call."""
        if self._random.random() >= self._rate:
            return None
        if call.operation == "ReceiveMessage":
            # It is Lambda that polls, and the visibility timeout that mends what it loses.
            return None
        kinds = [kind for kind in KINDS if kind.can_happen_to(call)]
        weights = [_weight(kind, call) for kind in kinds]
        [kind] = self._random.choices(kinds, weights)
        return self._varied(kind)

    def _varied(self, kind: Fault) -> Fault:
        if isinstance(kind, Throttled | ServerError | DoneInPart):
            return replace(kind, variant=self._random.randrange(_VARIANTS))
        if isinstance(kind, Slow):
            return Slow(self._random.uniform(0.2, 3.9))
        return kind


def _weight(kind: Fault, call: Call) -> float:
    if isinstance(kind, Crash):
        return _WEIGHTS_OF_CRASHES.get(call.caller, _WEIGHT_OF_OTHER_CRASHES)
    return _WEIGHTS[type(kind)]


@dataclass
class Always:
    """Lets calls fail in one way.

    Attributes:
        kind: what goes wrong.
        where: which attempts of which calls it happens to.
        happened: to which calls it did.
    """

    kind: Fault
    where: Callable[[Call], bool] = lambda call: True
    happened: list[Call] = field(default_factory=list)

    def fault(self, call: Call) -> Fault | None:
        """What happens to one attempt of a call."""
        if not self.kind.can_happen_to(call) or not self.where(call):
            return None
        self.happened.append(call)
        return self.kind


@dataclass
class InTurn:
    """Lets the attempts of all calls, one after the other, fail in this way and that.

    Attributes:
        faults: what happens to the first one, the second one and so on; behind these, nothing.
    """

    faults: Sequence[Fault | None]
    asked: int = 0

    def fault(self, call: Call) -> Fault | None:
        """What happens to one attempt of a call."""
        self.asked += 1
        return self.faults[self.asked - 1] if self.asked <= len(self.faults) else None


@dataclass
class FirstOfEach:
    """Lets the first call fail that each Lambda makes of each operation with each resource.

    Attributes:
        kind: what goes wrong.
        attempts: with how many of the call's attempts; 3 are all of them.
        hit: what it happened to: the handler, the resource and the action, as roles name them.
    """

    kind: Fault
    attempts: int = 1
    hit: dict[tuple[str, str, str], Call] = field(default_factory=dict)

    def fault(self, call: Call) -> Fault | None:
        """What happens to one attempt of a call."""
        if not call.caller or not self.kind.can_happen_to(call):
            return None
        handler = call.caller if call.caller in HANDLERS else "worker"
        [resource] = resources_of(call.service, call.params)
        first = self.hit.setdefault((handler, resource, action_of(*call.name)), call)
        return self.kind if first.params is call.params and call.attempt <= self.attempts else None


class NoFaults:
    """Lets nothing go wrong."""

    def fault(self, call: Call) -> Fault | None:
        """Nothing."""
        return None
