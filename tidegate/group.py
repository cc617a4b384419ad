"""Parallel groups: branches whose steps run beside each other.

A group goes through its branches one after the other, each up to its first step that is not done.
Those steps then run beside each other, and the group goes through its branches again, until all
have returned. So only steps run at the same time, never the code between them, and each pass finds
the same steps under the same ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from tidegate.effect import StepRan
from tidegate.errors import BranchPending, StepUsageError
from tidegate.session import Session, StepCall
from tidegate.step import Op, StepIds

T = TypeVar("T")


class ParallelMode(StrEnum):
    """When a parallel group is over.

    `WAIT`: when all branches have returned; it gives a tuple of what they returned.
    `RACE`: when the first one has; it gives a tuple of that one's value alone.
    """

    WAIT = "wait"
    RACE = "race"


class GroupSync:
    """`ctx.group` of a function written with `def`."""

    def __init__(self, session: Session) -> None:
        self._passes = _Passes(session)

    def parallel(
        self,
        callables: Sequence[Callable[[], T]],
        parallel_mode: ParallelMode = ParallelMode.WAIT,
    ) -> tuple[T, ...]:
        """What the branches return, their steps having run beside each other.

        Args:
            callables: the branches, each a callable that uses steps.
            parallel_mode: whether to wait for all of them or for the first.

        Raises:
            StepError: a step of a branch failed for good and the branch did not catch it.
        """
        passes = self._passes
        if passes.is_nested:
            return self._once(callables, parallel_mode)
        while True:
            mark = passes.open()
            try:
                return self._once(callables, parallel_mode)
            except BranchPending:
                calls = passes.calls()
            finally:
                passes.close()
            passes.before_steps(calls)
            passes.session.execute_all(calls)
            passes.back_to(mark)

    def _once(self, callables: Sequence[Callable[[], T]], mode: ParallelMode) -> tuple[T, ...]:
        race = _Race(self._passes.session) if mode == ParallelMode.RACE else None
        results: list[T] = []
        for number, branch in enumerate(callables):
            pending = self._passes.session.branches_pending
            try:
                result = branch()
            except BranchPending:
                continue
            self._passes.check_swallowed(pending)
            if race is None:
                results.append(result)
            elif race.is_won_by(number):
                return (result,)
        return self._passes.all_of(results, callables)


class Group:
    """`ctx.group` of a function written with `async def`; see `GroupSync`."""

    def __init__(self, session: Session) -> None:
        self._passes = _Passes(session)

    async def parallel(
        self,
        callables: Sequence[Callable[[], Awaitable[T]]],
        parallel_mode: ParallelMode = ParallelMode.WAIT,
    ) -> tuple[T, ...]:
        """As `GroupSync.parallel`; the branches are coroutine functions."""
        passes = self._passes
        if passes.is_nested:
            return await self._once(callables, parallel_mode)
        while True:
            mark = passes.open()
            try:
                return await self._once(callables, parallel_mode)
            except BranchPending:
                calls = passes.calls()
            finally:
                passes.close()
            passes.before_steps(calls)
            await passes.session.execute_all_async(calls)
            passes.back_to(mark)

    async def _once(
        self, callables: Sequence[Callable[[], Awaitable[T]]], mode: ParallelMode
    ) -> tuple[T, ...]:
        race = _Race(self._passes.session) if mode == ParallelMode.RACE else None
        results: list[T] = []
        for number, branch in enumerate(callables):
            pending = self._passes.session.branches_pending
            try:
                result = await branch()
            except BranchPending:
                continue
            self._passes.check_swallowed(pending)
            if race is None:
                results.append(result)
            elif race.is_won_by(number):
                return (result,)
        return self._passes.all_of(results, callables)


class _Passes:
    """The passes of one group through its branches."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def is_nested(self) -> bool:
        """Whether this group stands in a branch of another, which then runs the steps of both."""
        return self.session.planned is not None

    def open(self) -> tuple[StepIds, Any]:
        """Begin a pass; gives what to go back to for the next one."""
        self.session.planned = []
        return self.session.ids.mark(), self.session.random.getstate()

    def close(self) -> None:
        """End a pass."""
        self.session.planned = None

    def calls(self) -> list[StepCall]:
        """The steps that the pass found to be run."""
        return list(self.session.planned or ())

    def before_steps(self, calls: list[StepCall]) -> None:
        """Suspend when there is nothing to run now, or no time to."""
        if not calls:
            self.session.interrupt()
        self.session.check_time()

    def back_to(self, mark: tuple[StepIds, Any]) -> None:
        """Go back to where the group began."""
        self.session.ids.back_to(mark[0])
        self.session.random.setstate(mark[1])

    def check_swallowed(self, pending_before: int) -> None:
        """Raise if the branch went on behind a step at which it was told to stop."""
        if self.session.branches_pending != pending_before:
            raise StepUsageError(SWALLOWED)

    def all_of(self, results: list[T], callables: Sequence[Any]) -> tuple[T, ...]:
        """The branches' results; raises if not all have returned."""
        if len(results) < len(callables):
            raise BranchPending
        return tuple(results)


class _Race:
    """Which branch was first; recorded, so that it stays so at every call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._step, self._record = session.begin("race", Op.RUN)

    def is_won_by(self, number: int) -> bool:
        """Whether a branch that has returned is the first, or becomes it."""
        if self._record is None:
            now_ms = self._session.journal.now_ms()
            self._record = self._session.journal.record(StepRan(self._step, str(number), now_ms))
        return bool(self._session.outcome(self._record) == number)


SWALLOWED = (
    "the function went on behind a step at which it has to stop for now: a bare `except:`, or "
    "`except BaseException:`, around a step caught what stops it; write `except Exception:`"
)
