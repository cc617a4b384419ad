"""`tidegate dev` as the README shows it: what it prints, what it serves, what it reloads."""

from __future__ import annotations

import json
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e import readme
from tests.e2e.readme import Curl
from tests.e2e.serving import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TIDEGATE = Path(sys.executable).with_name("tidegate")
SERVER = re.compile(r"http://[\w.]+:\d+")


class DevCommand:
    """A running `tidegate dev`.

    Args:
        arguments: what comes behind `dev`.
        folder: where it runs.
        tidegate: the command.
        environment: its variables, if they are not those of the tests.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        tidegate: Path = TIDEGATE,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [tidegate, "dev", *arguments, "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.introduction = self.wait_for(r"^  curl ")
        self.url = SERVER.search(self.introduction)[0]  # type: ignore[index]

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, *patterns: str, meanwhile: Callable[[], object] | None = None) -> str:
        """What is printed from here on until each pattern was found in some line of it.

        Args:
            meanwhile: what to do, again and again, as long as nothing is printed.
        """
        missing, text = list(patterns), ""
        end = time.monotonic() + PATIENCE_S
        while missing:
            assert time.monotonic() < end, f"{missing} is not in {self.printed}"
            try:
                line = self._lines.get(timeout=0.5)
            except queue.Empty:
                if meanwhile is not None:
                    meanwhile()
                continue
            assert line is not None, f"it ended: {self.printed}"
            self.printed.append(line)
            text += line
            missing = [pattern for pattern in missing if not re.search(pattern, line)]
        return text

    def post(self, curl: Curl) -> httpx.Response:
        """The answer to a command line's request, accepted; sent here, wherever it says."""
        url = SERVER.sub(self.url, curl.url)
        answer = httpx.post(url, content=curl.body, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer

    def terminate(self) -> int:
        """Its exit code, after it was asked to end."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def dev() -> Iterator[Callable[..., DevCommand]]:
    """Starts the command; what still runs in the end is ended."""
    started: list[DevCommand] = []

    def start(*arguments: str, folder: Path) -> DevCommand:
        started.append(DevCommand(*arguments, folder=folder))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.wait()


def test_the_example_app_is_served_as_the_readme_shows(dev: Callable[..., DevCommand]) -> None:
    command = dev("functions.shop", folder=ROOT)
    shown = readme.block("Tidegate dev server", "Functions")
    printed = SERVER.sub(SERVER.search(shown)[0], command.introduction)  # type: ignore[index]
    assert printed.startswith(shown)

    command.post(readme.curl_of(readme.block("curl", "storefront/cart.checkout.completed")))
    lines = readme.block("run completed", "shop-send-receipt").splitlines()
    assert len(lines) == 5
    command.wait_for(*(pattern_of(line) for line in lines))


def test_the_request_that_it_prints_can_be_sent(dev: Callable[..., DevCommand]) -> None:
    command = dev("functions.shop", folder=ROOT)
    printed = command.introduction.splitlines()[-1].strip()
    curl = Curl.parse(printed)
    if shutil.which("curl"):
        words = [*shlex.split(printed), "--silent", "--noproxy", "*"]
        answer = json.loads(subprocess.check_output(words))
    else:
        answer = command.post(curl).json()
    assert answer["status"] == 200
    name, [event_id] = json.loads(curl.body)["name"], answer["ids"]
    run = "[0-9A-HJKMNP-TV-Z]{26}"
    command.wait_for(
        rf"event received +{re.escape(name)} +{event_id} +env dev",
        rf"run started +shop-reserve-stock +{run} +{re.escape(name)}",
        rf"run completed +shop-reserve-stock +{run} +\d+ ms +→ {{",
        rf"run completed +shop-send-receipt +{run} +\d+ ms +→ {{",
    )


def pattern_of(line: str) -> str:
    """What matches the line of the README with other times, ids and gaps."""
    pattern = re.sub(r"(\\ )+", " +", re.escape(line))
    pattern = pattern.replace(re.escape(line[:12]), r"[\d:.]{12}")
    pattern = re.sub(r"\b01[0-9A-Z]{24}\b", "[0-9A-Z]{26}", pattern)
    return "^" + re.sub(r"\d+(?= \+ms)", r"\\d+", pattern) + "$"


def test_the_function_of_the_readme_runs_as_it_says(
    dev: Callable[..., DevCommand], tmp_path: Path
) -> None:
    (tmp_path / "hello.py").write_text(readme.block("# hello.py"))
    commands = readme.block("dev hello.py", "curl")
    tidegate, *arguments = shlex.split(commands.splitlines()[0])
    assert (tidegate, arguments[0]) == (".venv/bin/tidegate", "dev")
    command = dev(*arguments[1:], folder=tmp_path)
    assert "hello-greet  app/user.created" in command.introduction
    command.post(readme.curl_of(commands))
    command.wait_for(
        r"log +hello-greet .*greeting Ada", r'run completed +hello-greet .*"hello, Ada"'
    )
    assert command.terminate() == 0


def test_a_saved_file_is_served_at_once(dev: Callable[..., DevCommand], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "functions" / "shop", tmp_path / "shop")
    for file in (tmp_path / "shop").glob("*.py"):
        file.write_text(file.read_text().replace("functions.shop", "shop"))
    command = dev("shop", folder=tmp_path)
    sent = Curl(f"{command.url}/e/k", '{"name": "app/user.activated", "data": {"userId": 7}}')
    command.post(sent)
    command.wait_for(r'run completed +shop-welcome-mail .*"welcome, 7"')
    signup = tmp_path / "shop" / "signup.py"
    changed = signup.read_text().replace('f"welcome,', 'f"good evening,')
    signup.write_text(changed)
    # It is saved again should the first time have come before the watcher was ready.
    command.wait_for(r"reloaded: 12 functions", meanwhile=lambda: signup.write_text(changed))
    command.post(sent)
    command.wait_for(r'run completed +shop-welcome-mail .*"good evening, 7"')
