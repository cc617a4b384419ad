"""The browser that tests the dashboard; as a program it sees that there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
VARIABLE = "TIDEGATE_CHROMIUM"
MISSING = (
    "the dashboard's tests need Chromium or Chrome: `apt-get install chromium`, or name one with "
    f"{VARIABLE}=/path/to/it"
)


def find() -> str | None:
    """The path of the browser that the environment names, or else of one that is installed."""
    named = os.environ.get(VARIABLE)
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def install() -> None:
    """Install Debian's package where that can be done without asking anybody."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return
    print("installing chromium …", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ("update", "install --yes --no-install-recommends chromium"):
        subprocess.run(["apt-get", "-qq", *command.split()], env=quiet, check=False)


def main() -> int:
    """0 if the browser is there, if need be after installing it; else 1, and what to do is told."""
    if find() is None and os.environ.get(VARIABLE) is None:
        install()
    if find() is None:
        print(MISSING, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
