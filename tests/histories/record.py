"""Records a history of each function: `python -m tests.histories.record NAME…`.

A history is what a run that has ended left in its stores. It is recorded once and then kept: what
it holds against is code of later days, which must go on with runs that earlier code began.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.histories.functions import FUNCTIONS, called
from tests.kit.backends import MemoryBackend
from tests.kit.player import Later, Player, Process

FOLDER = Path(__file__).parent


def history_of(name: str) -> str:
    """The JSON text of a function's history."""
    backend, executions = MemoryBackend(), Counter[str]()

    def executed(step: str) -> int:
        executions[step] += 1
        return executions[step]

    answered = Later(2 * 86_400_000, "app/answered", {"n": 7})
    player = Player(backend, Process())
    played = player.play(FUNCTIONS[name](executed), called=called, later=[answered], data={"n": 7})
    event = backend.events.get(played.run.env, played.run.event_id)
    history = {
        "function": name,
        "event": asdict(event),
        "run": asdict(played.run),
        "steps": [asdict(record) for record in played.records.values()],
    }
    # Stacks name files; the histories are to be the same wherever they are recorded.
    return json.dumps(history, indent=2).replace(f"{FOLDER.parents[1]}/", "") + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:] or FUNCTIONS:
        path = FOLDER / f"{name}.json"
        if path.exists():
            sys.exit(f"{path} is recorded already; a new history needs a function of its own")
        path.write_text(history_of(name))
