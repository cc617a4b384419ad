"""A Lambda in this process: its own globals, variables and context."""

import os
import sys
import threading

import pytest

from tidegate.errors import ConfigurationError
from tidegate.local.lambda_function import LambdaFunction

WORKER = "tests.local.fakes.worker"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a handler module; gives its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


def test_each_lambda_has_its_own_variables_and_globals():
    hello = LambdaFunction("worker-hello", WORKER, {"TIDEGATE_FUNCTION": "hello"})
    bye = LambdaFunction("worker-bye", WORKER, {"TIDEGATE_FUNCTION": "bye"})
    assert "TIDEGATE_FUNCTION" not in os.environ
    assert hello.invoke({})["batches"] == 1
    assert hello.invoke({})["batches"] == 2
    returned = bye.invoke({})
    assert (returned["function"], returned["lambda"]) == ("bye", "worker-bye")
    assert returned["batches"] == 1
    assert WORKER not in sys.modules


def test_the_context_tells_the_time_left_and_a_new_request_id():
    function = LambdaFunction("f", WORKER, {"TIDEGATE_FUNCTION": "f"}, timeout_s=100)
    first, second = function.invoke({}), function.invoke({})
    assert 0 < first["left_ms"] <= 100_000
    assert first["request"] != second["request"]
    patient = LambdaFunction("f", WORKER, {"TIDEGATE_FUNCTION": "f"})
    assert patient.invoke({})["left_ms"] > 11 * 3_600_000, "somebody may sit at a breakpoint"


def test_invocations_at_once_have_environments_of_their_own(module):
    name = module(
        "counting",
        "import threading\n"
        "running = 0\n"
        "def handler(event, context):\n"
        "    global running\n"
        "    running += 1\n"
        "    event.wait(10)\n"
        "    try:\n"
        "        return running\n"
        "    finally:\n"
        "        running -= 1\n",
    )
    function = LambdaFunction("f", name, {})
    barrier, seen = threading.Barrier(3), []
    threads = [
        threading.Thread(target=lambda: seen.append(function.invoke(barrier))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1, 1, 1]


def test_classes_of_a_handler_module_can_be_defined(module):
    name = module(
        "with_classes",
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "from pydantic import BaseModel\n"
        "@dataclass\n"
        "class A:\n"
        "    x: ClassVar[int] = 1\n"
        "    y: int = 2\n"
        "class B(BaseModel):\n"
        "    a: int\n"
        "def handler(event, context):\n"
        "    return [A().y, B(a='3').a]\n",
    )
    assert LambdaFunction("f", name, {}).invoke({}) == [2, 3]


def test_what_the_handler_raises_passes_through(module):
    function = LambdaFunction("f", module("crashing", "def handler(e, c): raise KeyError(e)"), {})
    with pytest.raises(KeyError, match="x"):
        function.invoke("x")


def test_variables_are_as_before_when_the_module_is_broken(module):
    name = module("broken", "import os\nos.environ['LOCAL_TEST_B']\n")
    with pytest.raises(KeyError, match="LOCAL_TEST_B"):
        LambdaFunction("f", name, {"LOCAL_TEST_A": "1"})
    assert "LOCAL_TEST_A" not in os.environ


def test_who_goes_through_the_variables_meanwhile_meets_no_gap(module):
    name = module(
        "walking",
        "import os\n"
        "own = os.environ.items()\n"
        "walk = iter(own)\n"
        "first = next(walk)\n"
        "def handler(event, context):\n"
        "    return dict([first, *walk])\n",
    )
    function = LambdaFunction("f", name, {"LOCAL_TEST_C": "1"})
    walk = iter(os.environ.items())
    seen = dict([next(walk)])
    assert function.invoke({}) == {**os.environ, "LOCAL_TEST_C": "1"}
    LambdaFunction("g", name, {"LOCAL_TEST_C": "1", "PATH": "/elsewhere"})
    assert {**seen, **dict(walk)} == os.environ


def test_what_a_module_sets_is_set_for_the_process(module, monkeypatch):
    monkeypatch.setenv("LOCAL_TEST_D", "before")
    monkeypatch.setenv("LOCAL_TEST_E", "before")
    name = module(
        "setting",
        "import os\n"
        "os.environ['LOCAL_TEST_D'] = 'after'\n"
        "del os.environ['LOCAL_TEST_E']\n"
        "os.environ |= {'LOCAL_TEST_E': 'again'}\n"
        "assert os.environ.pop('LOCAL_TEST_F') == '1'\n"
        "assert 'LOCAL_TEST_F' not in os.environ\n"
        "copies = [os.environ.copy(), os.environ | {}, {} | os.environ]\n"
        "def handler(event, context):\n"
        "    return [(os.getenv('LOCAL_TEST_D'), len(copy)) for copy in copies]\n",
    )
    before = len(os.environ)
    seen = LambdaFunction("f", name, {"LOCAL_TEST_F": "1"}).invoke({})
    assert seen == [("after", before)] * 3
    assert os.environ["LOCAL_TEST_E"] == "again"
    assert "LOCAL_TEST_F" not in os.environ


@pytest.mark.parametrize("name", ["no_such_module", "no_such.module", "tidegate.errors"])
def test_a_module_without_handler_is_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        LambdaFunction("f", name, {})
