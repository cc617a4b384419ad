"""Virtual time: what otherwise runs in threads runs here in turns, and nobody waits for a clock.

A task goes on until it sleeps or waits; then the one that is due next goes on, at once. That keeps
hours of back-off, leases and visibility timeouts within seconds, and it makes a run repeatable:
who is next follows from the tasks alone, never from the machine. Tasks are greenlets, since the
code that waits is production's, which knows nothing of them.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

from greenlet import getcurrent, greenlet

T = TypeVar("T")

_result, _exception = Future.result, Future.exception


class ProcessDied(SystemExit):
    """Ends a task whose process is dead: nothing behind it happens."""


class Process:
    """Tasks that die together, such as the threads of an invocation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.tasks: set[Task] = set()
        self.is_dead = False

    def kill(self) -> None:
        """End all its tasks, wherever they are; who is in one of them dies when it next waits."""
        self.is_dead = True
        for task in sorted(self.tasks, key=lambda task: task.number):
            self._simulation.wake(task)


class Task(greenlet):
    """Something that runs beside others.

    Attributes:
        number: tells tasks apart, in the order in which they began.
        process: what it belongs to, if to any.
        turn: changes whenever it begins to wait, so that a late wake-up is known as such.
        future: what comes of it.
    """

    def __init__(
        self, simulation: Simulation, call: Callable[[], Any], number: int, process: Process | None
    ) -> None:
        super().__init__(self._run, simulation.hub)
        self._call = call
        self.number = number
        self.process = process
        self.turn = 0
        self.future: Future[Any] = Future()

    def _run(self) -> None:
        try:
            if self.process is not None and self.process.is_dead:
                raise ProcessDied
            self.future.set_result(self._call())
        except BaseException as error:
            self.future.set_exception(error)
        finally:
            if self.process is not None:
                self.process.tasks.discard(self)


class Simulation:
    """Tasks in virtual time.

    Args:
        start_ms: when it begins, UTC ms.

    Attributes:
        now_s: the time, in seconds since 1970.
        hub: what goes on while no task does.
        errors: what threads ended with that raised something.
    """

    def __init__(self, start_ms: int = 1_760_000_000_000) -> None:
        self.now_s = start_ms / 1000
        self.hub = getcurrent()
        self.errors: list[BaseException] = []
        self._numbers = itertools.count()
        # When whose turn it is; entries whose turn has passed are left in it.
        self._due: list[tuple[float, int, Task, int]] = []

    # --- what runs the tasks ---------------------------------------------------------------------

    def spawn(self, call: Callable[[], T], process: Process | None = None) -> Future[T]:
        """Begin a task, in the process of who begins it unless another is named."""
        new = Task(self, call, next(self._numbers), process or self.process)
        if new.process is not None:
            new.process.tasks.add(new)
        self._at(self.now_s, new)
        return new.future

    @property
    def process(self) -> Process | None:
        """The process of the task that asks."""
        task = self._current()
        return task.process if task is not None else None

    def run(self, until: Callable[[], bool]) -> None:
        """Let tasks go on until something is true; it is asked whenever time has passed."""
        self.hub = getcurrent()
        while not until():
            self._pass_moment()

    def _pass_moment(self) -> None:
        """Go to the time at which something is due, and do all that is due then."""
        if not self._due:
            raise RuntimeError("every task waits for another one")
        self.now_s = max(self.now_s, self._due[0][0])
        while self._due and self._due[0][0] <= self.now_s:
            _, _, task, turn = heapq.heappop(self._due)
            if task.turn == turn and not task.dead:
                task.parent = self.hub
                task.switch()

    # --- what tasks call -------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Let time pass; outside of tasks it passes at once."""
        if self._current() is None:
            self.now_s += seconds
        else:
            self.check_alive()
            self._wait(self.now_s + seconds)

    def now_ms(self) -> int:
        """The time, UTC ms."""
        return int(self.now_s * 1000)

    def check_alive(self) -> None:
        """Raise ProcessDied in a task whose process is dead."""
        task = self._current()
        if task is not None and task.process is not None and task.process.is_dead:
            raise ProcessDied

    def wait_for(self, future: Future[Any], timeout_s: float | None = None) -> None:
        """Wait until a future is done, or the time is up."""
        task = self._current()
        self.check_alive()
        if task is None or future.done():
            return
        until_s = None if timeout_s is None else self.now_s + timeout_s
        future.add_done_callback(lambda _: self.wake(task))
        while not future.done() and (until_s is None or self.now_s < until_s):
            self._wait(until_s)

    def die(self) -> None:
        """Kill the process of the task that calls this, and with it this task."""
        task = self._current()
        if task is not None and task.process is not None:
            task.process.kill()
        raise ProcessDied

    def wake(self, task: Task) -> None:
        """Let a task that waits go on."""
        self._at(self.now_s, task)

    def _wait(self, until_s: float | None) -> None:
        task = self._current()
        if task is None:
            raise RuntimeError("only a task can wait")
        task.turn += 1
        if until_s is not None:
            self._at(until_s, task)
        self.hub.switch()
        self.check_alive()

    def _at(self, time_s: float, task: Task) -> None:
        heapq.heappush(self._due, (time_s, next(self._numbers), task, task.turn))

    @staticmethod
    def _current() -> Task | None:
        found = getcurrent()
        return found if isinstance(found, Task) else None

    def note_end(self, thread: Future[Any]) -> None:
        """Keep the error that a thread ended with, unless it was killed."""
        error = _exception(thread, 0)
        if error is not None and not isinstance(error, ProcessDied):
            self.errors.append(error)

    # --- what stands in for the machine's --------------------------------------------------------

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Who asks a future for its result meanwhile waits as a task does."""

        def result(future: Future[Any], timeout: float | None = None) -> Any:
            self.wait_for(future, timeout)
            return _result(future, timeout if self._current() is None else 0)

        def exception(future: Future[Any], timeout: float | None = None) -> Any:
            self.wait_for(future, timeout)
            return _exception(future, timeout if self._current() is None else 0)

        with patch.object(Future, "result", result), patch.object(Future, "exception", exception):
            yield


class VirtualTime:
    """The module `time` of a simulation, as far as it is used."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.sleep = simulation.sleep

    def monotonic(self) -> float:
        return self._simulation.now_s


class VirtualThreading:
    """The module `threading` of a simulation, as far as it is used."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def Thread(self, **options: Any) -> _Thread:  # noqa: N802
        return _Thread(self._simulation, **options)

    def Condition(self) -> _Condition:  # noqa: N802
        return _Condition(self._simulation)

    def Event(self) -> _Event:  # noqa: N802
        return _Event(self._simulation)


class VirtualExecutor(Executor):
    """A pool of threads of a simulation; each call runs in the process of who asked for it."""

    def __init__(
        self, simulation: Simulation, max_workers: int | None = None, thread_name_prefix: str = ""
    ) -> None:
        self._simulation = simulation
        self._idle = max_workers or 32
        self._todo: deque[tuple[Process | None, Future[Any], Callable[[], Any]]] = deque()
        self._futures: list[Future[Any]] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        self._simulation.check_alive()
        future: Future[Any] = Future()
        self._futures = [one for one in self._futures if not one.done()] + [future]
        self._todo.append((self._simulation.process, future, lambda: call(*args, **options)))
        self._begin()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for future in self._futures if wait else ():
            self._simulation.wait_for(future)

    def _begin(self) -> None:
        while self._idle and self._todo:
            process, future, call = self._todo.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            self._idle -= 1
            self._simulation.spawn(call, process).add_done_callback(partial(self._end, future))

    def _end(self, future: Future[Any], done: Future[Any]) -> None:
        error = _exception(done, 0)
        if error is None:
            future.set_result(_result(done, 0))
        else:
            future.set_exception(error)
        self._idle += 1
        self._begin()


class _Thread:
    def __init__(
        self,
        simulation: Simulation,
        target: Callable[..., Any],
        args: Any = (),
        name: str = "",
        daemon: bool = True,
    ) -> None:
        self._simulation = simulation
        self._call = lambda: target(*args)
        self._future: Future[Any] | None = None

    def start(self) -> None:
        self._simulation.check_alive()
        self._future = self._simulation.spawn(self._call)
        self._future.add_done_callback(self._simulation.note_end)

    def is_alive(self) -> bool:
        return self._future is not None and not self._future.done()

    def join(self, timeout: float | None = None) -> None:
        if self._future is not None:
            self._simulation.wait_for(self._future, timeout)


class _Condition:
    """Tasks change only where they wait, so there is nothing to lock."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        notified: Future[None] = Future()
        self._waiting.append(notified)
        until_s = None if timeout == float("inf") else timeout
        self._simulation.wait_for(notified, until_s)
        if notified in self._waiting:
            self._waiting.remove(notified)
        return notified.done()

    def notify_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for notified in waiting:
            notified.set_result(None)


class _Event:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._set: Future[None] = Future()

    def set(self) -> None:
        if not self._set.done():
            self._set.set_result(None)

    def is_set(self) -> bool:
        return self._set.done()

    def wait(self, timeout: float | None = None) -> bool:
        self._simulation.wait_for(self._set, timeout)
        return self._set.done()
