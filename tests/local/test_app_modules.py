"""Loading the served modules, loading them again, and saying what is wrong with them."""

import sys

import pytest

from tidegate import registry
from tidegate.local.app_modules import AppModules, LoadError, Root

APP = """
from tidegate import Client, TriggerEvent
client = Client(app_id="shop")

@client.create_function(fn_id="hello", trigger=TriggerEvent(event="{event}"))
def hello(ctx):
    return {value}
"""


def ids(functions):
    return [function.id for function in functions]


def events(functions):
    return [trigger.event for function in functions for trigger in function.triggers]


def test_functions_of_a_file_are_found(app_folder):
    app_folder.write("app.py", APP, event="app/hello", value=1)
    app = AppModules([str(app_folder.path / "app.py")])
    assert ids(app.load()) == ["shop-hello"]
    assert app.roots == [Root(app_folder.path, recursive=False)]


def test_functions_of_a_package_are_found_and_its_whole_folder_is_the_app(app_folder):
    app_folder.write("serving/__init__.py", "")
    app_folder.write("serving/shop/__init__.py", "")
    app_folder.write("serving/shop/app.py", APP, event="app/hello", value=1)
    app = AppModules(["serving.shop"])
    assert ids(app.load()) == ["shop-hello"]
    assert app.roots == [Root(app_folder.path / "serving", recursive=True)]


def test_a_package_that_a_file_imports_belongs_to_the_app(app_folder):
    app_folder.write("parts/__init__.py", "")
    app_folder.write("app.py", "import parts\n" + APP, event="app/hello", value=1)
    app = AppModules([str(app_folder.path / "app.py")])
    app.load()
    assert app.roots == [
        Root(app_folder.path, recursive=False),
        Root(app_folder.path / "parts", recursive=True),
    ]


def test_a_changed_file_is_loaded_anew_with_what_it_imports(app_folder):
    app_folder.write("serving/__init__.py", "")
    app_folder.write("serving/answers.py", "ANSWER = 1")
    code = "from serving.answers import ANSWER\n" + APP
    app_folder.write("serving/app.py", code, event="app/hello", value="ANSWER")
    app = AppModules(["serving.app"])
    (before,) = app.load()
    # As long as before, and within the same second.
    app_folder.write("serving/answers.py", "ANSWER = 2")
    app_folder.write("serving/app.py", code, event="app/howdy", value="ANSWER")
    (after,) = app.reload()
    assert (before.handler(None), after.handler(None)) == (1, 2)
    assert events([after]) == ["app/howdy"]
    assert registry.registered() == [after]


def test_a_function_that_is_gone_is_no_longer_registered(app_folder):
    app_folder.write("app.py", APP + APP.replace("hello", "bye"), event="a/b", value=1)
    app = AppModules([str(app_folder.path / "app.py")])
    assert len(app.load()) == 2
    app_folder.write("app.py", APP, event="a/b", value=1)
    assert ids(app.reload()) == ["shop-hello"]


def test_a_broken_file_leaves_everything_as_it_was(app_folder):
    app_folder.write("serving/__init__.py", "")
    app_folder.write("serving/app.py", APP, event="app/hello", value=1)
    app = AppModules(["serving"])
    before = app.load()
    modules = {name: sys.modules[name] for name in ("serving", "serving.app")}
    app_folder.write("serving/app.py", APP + "\n1 / 0\n", event="app/new", value=2)
    app_folder.write("serving/b.py", "")
    with pytest.raises(LoadError, match=r"serving/app\.py:9: ZeroDivisionError"):
        app.reload()
    assert registry.registered() == before
    assert {name: sys.modules[name] for name in modules} == modules
    app_folder.write("serving/app.py", APP, event="app/new", value=2)
    assert events(app.reload()) == ["app/new"]


def test_tidegate_itself_is_never_loaded_anew(app_folder):
    app_folder.write("app.py", APP, event="app/hello", value=1)
    app = AppModules([str(app_folder.path / "app.py")])
    app.load()
    app.roots.append(Root(app_folder.path.parent, recursive=True))
    ours = sys.modules["tidegate.client"]
    app.reload()
    assert sys.modules["tidegate.client"] is ours


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:\n  pass", r"app\.py:1: SyntaxError: "),
        ("\nimport no_such_module", r"app\.py:2: ModuleNotFoundError: No module named 'no_such_"),
        ("\n\nraise KeyError('a\\nb')", r"app\.py:3: KeyError: "),
        ("import sys\nsys.exit(3)", r"app\.py:2: SystemExit: exited with 3 while it was imported"),
        ("import json\njson.loads('{')", r"app\.py:2: JSONDecodeError: "),
        (
            "from tidegate import TriggerEvent\nTriggerEvent(event='a*b')",
            r"app\.py:2: ValidationError: TriggerEvent: event: 'a\*b' can never match: ",
        ),
        (
            APP.format(event="a/b", value=1).replace("trigger=", "retries=99, trigger="),
            r"app\.py:5: function 'hello': retries=99 is not a number from 0 to 20",
        ),
        (
            "from tidegate import Client\n\nClient(app_id='')",
            r"app\.py:3: app_id='': use letters",
        ),
        ("x = 1", r"app\.py: no function is registered there; "),
    ],
    ids=[
        "syntax", "import", "exception", "exit", "library", "trigger", "function", "client", "none",
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_file_and_line(app_folder, code, message):
    app_folder.write("app.py", code)
    with pytest.raises(LoadError, match=message) as caught:
        AppModules([str(app_folder.path / "app.py")]).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["no_such_package.module", "no_such.py"])
def test_a_target_that_is_missing_is_named(target):
    with pytest.raises(LoadError, match=target):
        AppModules([target]).load()
