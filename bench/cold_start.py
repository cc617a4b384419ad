"""What a cold start costs: each handler imported, its clients made, in fresh processes.

python -m bench.cold_start [ROUNDS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.aws_stub import FAKE_ACCOUNT
from bench.figure import Figure
from tidegate import registry
from tidegate.function import Function
from tidegate.manifest import HANDLERS, TABLES, Manifest
from tidegate.settings import Settings

GOAL = 1.25
ROUNDS = 9
APP = "functions.shop.checkout"

# The clients that each handler makes while it starts.
CLIENTS = {
    "ingest": ("dynamodb", "sns"),
    "worker": ("dynamodb",),
    "matcher": ("dynamodb", "sns"),
    "api": ("dynamodb",),
}
_FLOOR = "import boto3\nfor service in {0!r}: boto3.client(service)"

# CPU time, since what else the machine does must not count. The peak is that of this process
# alone: `getrusage` would pass on what the parent had.
_PROBE = """
import json, resource, sys, time
began = time.process_time()
exec(sys.argv[1])
taken = time.process_time() - began
try:
    with open("/proc/self/status") as status:
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
except OSError:
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
json.dump([taken * 1000, peak_kb / 1024], sys.__stdout__)
"""


@dataclass(frozen=True)
class Start:
    """What it took.

    Attributes:
        cpu_ms: CPU time, ms.
        peak_mib: the most memory it had, MiB.
    """

    cpu_ms: float
    peak_mib: float


@contextmanager
def stage_environment(
    functions: Sequence[Function], **settings: str | int
) -> Iterator[dict[str, str]]:
    """The variables of a stage's Lambdas, for as long as its manifest is there.

    Args:
        functions: the stage's; the worker's is the first.
        settings: fields of `Settings` that are to be otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.json")
        Manifest.of(functions).write(path)
        queue = "https://sqs.us-east-1.amazonaws.com/123456789012"
        given: dict[str, str | int | tuple[str, ...]] = {
            **{f"{table.name}_table": f"bench-{table.name}" for table in TABLES},
            "topic_arns": ("arn:aws:sns:us-east-1:123456789012:bench",),
            "bucket": "bench-payloads",
            "manifest": str(path),
            "function": functions[0].id,
            "queue_url": f"{queue}/bench",
            "queue_arn": "arn:aws:sqs:us-east-1:123456789012:bench",
            "dead_letter_url": f"{queue}/dead",
            "dead_letter_arn": "arn:aws:sqs:us-east-1:123456789012:dead",
            "matcher_queue_url": f"{queue}/matcher",
            "queues_path": "/tidegate/bench/queues",
            "schedule_group": "bench",
            "schedule_role_arn": "arn:aws:iam::123456789012:role/bench",
            **settings,
        }
        yield Settings(**given).environment(*vars(Settings()))  # type: ignore[arg-type]


def start(code: str, variables: Mapping[str, str]) -> Start:
    """What it takes a fresh process to execute some code."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PROBE, code],
        env=kept | FAKE_ACCOUNT | dict(variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return Start(*json.loads(done.stdout))


def measure(rounds: int = ROUNDS) -> Iterable[Figure]:
    """CPU time as a ratio to the floor, in ms, and memory, for each handler.

    Args:
        rounds: how many processes are started of each; their median counts.
    """
    registry.load([APP])
    # Other benchmarks have functions of their own, and a worker would load what these need.
    functions = [function for function in registry.registered() if function.module == APP]
    with stage_environment(functions) as variables:
        for name, module in HANDLERS.items():
            codes = (f"import {module}", _FLOOR.format(CLIENTS[name]))
            # One beside the other, so that both see the machine in the same moods.
            pairs = [[start(code, variables) for code in codes] for _ in range(rounds + 1)][1:]
            ours, floor = (
                Start(
                    statistics.median(one.cpu_ms for one in starts),
                    statistics.median(one.peak_mib for one in starts),
                )
                for starts in zip(*pairs, strict=True)
            )
            # What else the machine does slows both of a pair, so each pair has its own ratio.
            ratio = statistics.median(one.cpu_ms / other.cpu_ms for one, other in pairs)
            yield Figure(f"cold start of {name}, of the floor", ratio, "x", GOAL, floor=1.0)
            yield Figure(f"cold start of {name}, CPU", ours.cpu_ms, "ms", floor=floor.cpu_ms)
            yield Figure(
                f"cold start of {name}, memory", ours.peak_mib, "MiB", floor=floor.peak_mib
            )


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    for figure in measure(rounds):
        print(f"{figure.name:36}{figure.value:9.2f} {figure.unit:4} floor {figure.floor:9.2f}")


if __name__ == "__main__":
    main()
