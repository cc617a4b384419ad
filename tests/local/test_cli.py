"""The command, as a developer runs it."""

import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from tests.local.test_dev_server import APP


@pytest.fixture
def run(app_folder):
    """Starts `tidegate dev` in the app's folder."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", "from tidegate.cli import main; main()", "dev", *arguments],
            cwd=app_folder.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def introduction(process):
    """What it prints first, up to the example."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "curl" in line:
            break
    return "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_send_and_ends_when_asked(run, app_folder, number):
    both = '[TriggerEvent(event="app/hello"), TriggerCron(cron="0 9 1 1 *")]'
    code = APP.replace('TriggerEvent(event="app/hello")', both)
    app_folder.write("app.py", code.replace("Client,", "Client, TriggerCron,"), answer="hi")
    process = run("app.py", "--port", "0")
    text = introduction(process)
    assert re.search(r"shop-hello +app/hello, 0 9 1 1 \*\n", text)
    url, body = re.search(r"curl (\S+) -d '(.*)'", text).groups()
    assert httpx.post(url, content=body).json()["status"] == 200
    line = next(line for line in process.stdout if "run completed" in line)
    assert '"hi"' in line
    process.send_signal(number)
    assert process.wait(30) == 0
    assert process.stderr.read() == ""


def test_a_module_of_the_current_folder_is_found(run, app_folder):
    app_folder.write("my_app.py", APP, answer="hi")
    assert "shop-hello" in introduction(run("my_app", "--port", "0", "--no-reload"))


@pytest.mark.parametrize(
    ("code", "target", "message"),
    [
        ("def f(:", "app.py", r"app\.py:1: SyntaxError"),
        ("import nowhere_to_be_found", "app.py", r"app\.py:1: ModuleNotFoundError"),
        (
            "from tidegate import TriggerEvent\nTriggerEvent(event='*')",
            "app",
            r"app\.py:2: ValidationError: TriggerEvent: event: '\*' can never match",
        ),
        ("", "app.py", r"app\.py: no function is registered there"),
        ("", "nothing_here", r"nothing_here: no such file, folder or module"),
    ],
)
def test_what_is_wrong_is_one_line(run, app_folder, code, target, message):
    app_folder.write("app.py", code)
    process = run(target, "--port", "0")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == ""
    (line,) = err.splitlines()
    assert re.search(message, line)


def test_a_taken_port_is_one_line(run, app_folder):
    app_folder.write("app.py", APP, answer="x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = run("app.py", "--port", str(port))
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert f"port {port}" in line
    assert "--port" in line
