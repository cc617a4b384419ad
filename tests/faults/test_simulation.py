"""Virtual time: who sleeps goes on when it is due, who waits when it is done, who is dead never."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from tests.faults.simulation import (
    Process,
    ProcessDied,
    Simulation,
    VirtualExecutor,
    VirtualThreading,
)


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(start_ms=0)


def run(simulation: Simulation, *futures: Future[Any]) -> None:
    with simulation.waited_for():
        simulation.run(until=lambda: all(future.done() for future in futures))


def test_who_is_due_first_goes_on_first(simulation: Simulation) -> None:
    seen: list[tuple[str, float]] = []

    def task(name: str, *pauses_s: float) -> None:
        for pause_s in pauses_s:
            simulation.sleep(pause_s)
            seen.append((name, simulation.now_s))

    run(
        simulation,
        simulation.spawn(lambda: task("a", 3, 3_600)),
        simulation.spawn(lambda: task("b", 1, 1)),
    )
    assert seen == [("b", 1), ("b", 2), ("a", 3), ("a", 3_603)]


def test_a_future_is_waited_for_no_longer_than_asked(simulation: Simulation) -> None:
    def impatient() -> str:
        slow = simulation.spawn(lambda: simulation.sleep(10))
        with pytest.raises(TimeoutError):
            slow.result(4)
        assert simulation.now_s == 4
        slow.result()
        assert simulation.now_s == 10
        return "done"

    future = simulation.spawn(impatient)
    run(simulation, future)
    assert future.result() == "done"


def test_with_a_process_all_its_tasks_die_where_they_are(simulation: Simulation) -> None:
    seen: list[str] = []
    process = Process(simulation)

    def parent() -> None:
        simulation.spawn(child)
        simulation.sleep(100)
        seen.append("the parent went on")

    def child() -> None:
        try:
            simulation.sleep(100)
        except SystemExit:
            # What cleans up behind a process that is dead is dead, too.
            simulation.sleep(1)
            seen.append("the child cleaned up")

    future = simulation.spawn(parent, process)

    def kill() -> None:
        simulation.sleep(5)
        process.kill()

    run(simulation, simulation.spawn(kill), future)
    assert isinstance(future.exception(), ProcessDied)
    assert process.tasks == set()
    assert (seen, simulation.now_s) == ([], 5)


def test_whoever_dies_takes_its_process_with_it_and_no_other(simulation: Simulation) -> None:
    dying, living = Process(simulation), Process(simulation)
    dead = [simulation.spawn(lambda: simulation.sleep(9), dying)]
    dead.append(simulation.spawn(simulation.die, dying))
    alive = simulation.spawn(lambda: simulation.sleep(9), living)
    run(simulation, *dead, alive)
    assert all(isinstance(future.exception(), ProcessDied) for future in dead)
    assert alive.exception() is None


def test_a_pool_has_so_many_threads(simulation: Simulation) -> None:
    def work() -> float:
        pool = VirtualExecutor(simulation, max_workers=2)
        assert list(pool.map(lambda n: (simulation.sleep(1), n)[1], range(5))) == [0, 1, 2, 3, 4]
        return simulation.now_s

    future = simulation.spawn(work)
    run(simulation, future)
    assert future.result() == 3


def test_a_condition_wakes_who_waits(simulation: Simulation) -> None:
    condition = VirtualThreading(simulation).Condition()
    woken: list[tuple[bool, float]] = []

    def wait(timeout_s: float | None) -> None:
        with condition:
            woken.append((condition.wait(timeout_s), simulation.now_s))

    def notify() -> None:
        simulation.sleep(5)
        with condition:
            condition.notify_all()

    run(
        simulation,
        simulation.spawn(lambda: wait(None)),
        simulation.spawn(lambda: wait(2)),
        simulation.spawn(notify),
    )
    assert woken == [(False, 2), (True, 5)]


def test_what_a_thread_raises_is_kept(simulation: Simulation) -> None:
    thread = VirtualThreading(simulation).Thread(target=lambda: 1 / 0, name="a")
    thread.start()
    simulation.run(until=lambda: not thread.is_alive())
    assert [type(error) for error in simulation.errors] == [ZeroDivisionError]


def test_tasks_that_wait_for_each_other_are_no_endless_loop(simulation: Simulation) -> None:
    never: Future[None] = Future()
    simulation.spawn(lambda: simulation.wait_for(never))
    with pytest.raises(RuntimeError, match="waits for another"):
        simulation.run(until=never.done)
