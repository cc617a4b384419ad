"""The real `tidegate dev` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RUN = "import sys; from tidegate.cli import main; sys.argv[0] = 'tidegate'; main()"
_URL = re.compile(r"^Tidegate dev server +http://localhost:(\d+)$", re.MULTILINE)
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class DevProcess:
    """A dev server that runs.

    Attributes:
        url: where it listens.
        pid: its process.
    """

    url: str
    pid: int

    def resident_bytes(self) -> int:
        """How much memory it has at present."""
        command = ["ps", "-o", "rss=", "-p", str(self.pid)]
        return int(subprocess.check_output(command)) * 1024  # noqa: S603


@contextmanager
def dev_process(
    module: str, *options: str, variables: Mapping[str, str] | None = None
) -> Iterator[DevProcess]:
    """A running dev server.

    Args:
        module: the dotted name of the module whose functions it serves.
        options: more options of `tidegate dev`.
        variables: environment variables besides those of this process.

    Raises:
        RuntimeError: it does not start; what it printed is in the message.
    """
    command = [sys.executable, "-c", _RUN, "dev", module, "--port", "0", "--no-reload", *options]
    environment = {**os.environ, **(variables or {})}
    # It prints into a file: nobody here has to read while the load is on.
    with (
        tempfile.NamedTemporaryFile() as printed,
        subprocess.Popen(  # noqa: S603
            command, stdout=printed, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        try:
            yield DevProcess(_url(process, Path(printed.name)), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _url(process: subprocess.Popen[bytes], printed: Path) -> str:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        found = _URL.search(printed.read_text())
        if found:
            return f"http://127.0.0.1:{found[1]}"
        time.sleep(0.05)
    raise RuntimeError(f"the dev server did not start:\n{printed.read_text()}")
