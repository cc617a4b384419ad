"""The engine that storage is tested on besides moto; as a program it sees that it is there.

Dynoxide has DynamoDB's API over SQLite, with real transactions, under a free licence. (AWS's own
DynamoDB Local may be used by those who accept its terms: `VARIABLE` names any server of the API.)
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "3.2.0"
# Another version lies elsewhere. (The program tells a version of its own, not its package's.)
ROOT = Path(__file__).parents[2] / ".build" / f"dynoxide-{VERSION}"
PROGRAM = ROOT / "bin" / "dynoxide"
VARIABLE = "TIDEGATE_DYNAMODB_URL"
MISSING = (
    "storage is tested on a second engine, too, which is built by Rust's cargo: install Rust 1.88 "
    f"or later and `make .stamps/dynoxide`, or name a server with {VARIABLE}=http://127.0.0.1:8000"
)

# Built in one minute instead of two and a half; nothing here waits for the engine.
_QUICK_BUILD = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
}
_TRIES = 5


def is_there() -> bool:
    """Whether there is a server to be had: one that the environment names, or the built one."""
    return bool(os.environ.get(VARIABLE)) or PROGRAM.exists()


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server of DynamoDB's API, on this machine alone and in memory."""
    if named := os.environ.get(VARIABLE):
        yield named
        return
    process, url = _started()
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def _started() -> tuple[subprocess.Popen[str], str]:
    """A server's process and its address, when it listens."""
    # Nobody reads what it says later on.
    quiet = {name: value for name, value in os.environ.items() if name != "RUST_LOG"}
    for _ in range(_TRIES):
        port = _free_port()
        command = [str(PROGRAM), "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=quiet, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = process.stderr.readline()
        if "listening" in said:
            return process, f"http://127.0.0.1:{port}"
        # Somebody else was given the port meanwhile.
        process.kill()
        said += process.communicate()[1]
    raise RuntimeError(f"dynoxide does not start: {said}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def install() -> None:
    """Build the engine where there is Rust; its dependencies are locked with their hashes."""
    if not shutil.which("cargo"):
        return
    print("building dynoxide, which takes a minute or two …", flush=True)
    command = ["cargo", "install", "dynoxide-rs", "--version", f"={VERSION}", "--locked", "--quiet"]
    command += ["--no-default-features", "--features", "native-sqlite,http-server,cli"]
    command += ["--no-track", "--root", str(ROOT)]
    subprocess.run(command, env={**os.environ, **_QUICK_BUILD}, check=False)


def main() -> int:
    """0 if there is a server, if need be after building it; else 1, and what to do is told."""
    if not is_there():
        install()
    if not is_there():
        print(MISSING, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
