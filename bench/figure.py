"""What a benchmark finds: a named value, the goal it is held against and the floor under it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured or counted value.

    Attributes:
        name: what was measured, unique in a run of `make bench`.
        value: how much it was.
        unit: of value, goal and floor, such as `ms` or `$ per million events`.
        goal: what it has to reach; None where there is nothing to reach.
        is_at_most: whether the goal is the most that it may be; else it is the least.
        floor: what the same takes without Tidegate, measured in the same run; None where there is
            no such thing.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    is_at_most: bool = True
    floor: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.is_at_most else self.value >= self.goal

    def as_dict(self) -> dict[str, str | float | bool | None]:
        """The figure as `bench/results.json` has it."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "met": self.met,
            "floor": self.floor,
        }
