"""The dev server in this process: production's handlers, from an HTTP request to a function."""

import json
import logging
import os
import socket
import threading
import time

import boto3
import httpx
import pytest

from tests.clock import FakeClock
from tidegate.errors import ConfigurationError
from tidegate.local.app_modules import LoadError
from tidegate.local.cloud import Cloud
from tidegate.local.server import DevServer
from tidegate.manifest import Manifest

APP = """
import os
from tidegate import Client, TriggerEvent
client = Client(app_id="shop")

@client.create_function(fn_id="hello", trigger=TriggerEvent(event="app/hello"))
def hello(ctx):
    return "{answer}"
"""


class Records(logging.Handler):
    """Keeps what Tidegate logs."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def emit(self, record):
        self.kept.append(record)

    def outputs(self):
        return [record.output for record in self.kept if record.getMessage() == "run completed"]

    def texts(self):
        return [record.getMessage() for record in self.kept]


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def serve(app_folder, records):
    """Starts a dev server for the folder's app.py; stops it in the end."""
    started = []

    def start(*targets, **options):
        targets = targets or (str(app_folder.path / "app.py"),)
        server = DevServer(targets, **{"port": 0, "console": records, **options})
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def send(server, name, **options):
    return httpx.post(f"{server.url}/e/any-key", json={"name": name, "data": {}}, **options)


def test_an_event_starts_a_function(serve, app_folder, records, eventually):
    app_folder.write("app.py", APP, answer="hi")
    server = serve()
    assert [function.id for function in server.functions] == ["shop-hello"]
    response = send(server, "app/hello")
    assert response.status_code == 200
    assert len(response.json()["ids"]) == 1
    eventually(lambda: records.outputs() == ['"hi"'])


def test_a_function_sends_to_the_server_that_serves_it(serve, app_folder, records, eventually):
    app_folder.write(
        "app.py",
        APP.replace('"app/hello")', '"app/first")').replace('"hello"', '"first"', 1)
        + "\n@client.create_function(fn_id='second', trigger=TriggerEvent(event='app/second'))\n"
        "def second(ctx):\n"
        "    return os.environ['TIDEGATE_DEV']\n",
        answer="x",
    )
    server = serve()
    send(server, "app/second")
    eventually(lambda: records.outputs() == [f'"{server.url}"'])


def test_a_failed_run_starts_its_failure_handler(serve, app_folder, records, eventually):
    app_folder.write(
        "app.py",
        "from tidegate import Client, TriggerEvent\n"
        "def told(ctx):\n"
        "    return ctx.event.data['error']['message']\n"
        "@Client(app_id='shop').create_function(\n"
        "    fn_id='hello', trigger=TriggerEvent(event='app/hello'), retries=0, on_failure=told\n"
        ")\n"
        "def hello(ctx):\n"
        "    raise ValueError('boom')\n",
    )
    server = serve()
    ids = ["shop-hello", "shop-hello-failure"]
    assert [function.id for function in server.functions] == ids
    assert [one["id"] for one in httpx.get(f"{server.url}/v1/functions").json()["data"]] == ids
    send(server, "app/hello")
    eventually(lambda: records.outputs() == ['"boom"'])


def test_reloading_serves_the_new_code_on_the_same_port(serve, app_folder, records, eventually):
    app_folder.write("app.py", APP, answer="old")
    server = serve()
    send(server, "app/hello")
    eventually(lambda: records.outputs() == ['"old"'])
    before = httpx.get(f"{server.url}/v1/events").json()["data"]
    app_folder.write("app.py", APP + APP.replace("hello", "bye"), answer="new")
    assert [function.id for function in server.reload()] == ["shop-hello", "shop-bye"]
    send(server, "app/hello")
    eventually(lambda: records.outputs() == ['"old"', '"new"'])
    send(server, "app/bye")
    eventually(lambda: len(records.outputs()) == 3)
    after = httpx.get(f"{server.url}/v1/events").json()["data"]
    assert len(before) == 1
    assert len(after) == 3, "the events from before are kept"
    names = [function["id"] for function in httpx.get(f"{server.url}/v1/functions").json()["data"]]
    assert sorted(names) == ["shop-bye", "shop-hello"]


def test_a_function_that_is_gone_is_no_longer_started(serve, app_folder, records, eventually):
    app_folder.write("app.py", APP + APP.replace("hello", "bye"), answer="x")
    server = serve()
    app_folder.write("app.py", APP, answer="x")
    server.reload()
    send(server, "app/bye")
    send(server, "app/hello")
    eventually(lambda: records.outputs())
    started = [r.function_id for r in records.kept if r.getMessage() == "run started"]
    assert started == ["shop-hello"]


LONG = """
import datetime
from tidegate import Client, TriggerEvent
client = Client(app_id="shop")

@client.create_function(fn_id="{id}", trigger=TriggerEvent(event="app/{id}"))
def waits(ctx):
    ctx.step.wait_for_event("go", event="app/go", timeout=datetime.timedelta(days=9))
    return "went on"
"""


def test_runs_of_a_function_that_is_gone_end_and_it_may_come_back(
    serve, app_folder, records, eventually
):
    app_folder.write("app.py", APP, answer="x")
    app_folder.write("long.py", LONG, id="long")
    server = serve(str(app_folder.path), watch=True)
    [event_id] = send(server, "app/long").json()["ids"]

    def run():
        found = httpx.get(f"{server.url}/v1/events/{event_id}/runs").json()["data"]
        return found[0] if found else {"status": "not there"}

    eventually(lambda: "run suspended" in records.texts())
    app_folder.write("long.py", LONG, id="short")
    eventually(lambda: any(text.startswith("removed: shop-long;") for text in records.texts()))
    assert run()["status"] == "Running"
    listed = httpx.get(f"{server.url}/v1/functions").json()["data"]
    assert {one["id"]: one.get("removed", False) for one in listed} == {
        "shop-hello": False,
        "shop-short": False,
        "shop-long": True,
    }
    send(server, "app/go")
    eventually(lambda: run()["status"] == "Cancelled")
    ended = httpx.get(f"{server.url}/v1/runs/{run()['run_id']}").json()["data"]
    assert ended["output"]["message"] == "function 'shop-long' was removed"
    app_folder.write("long.py", LONG, id="long")
    eventually(lambda: any(text.startswith("removed: shop-short;") for text in records.texts()))
    send(server, "app/long")
    eventually(lambda: records.texts().count("run suspended") == 2)
    send(server, "app/go")
    eventually(lambda: records.outputs() == ['"went on"'])


def test_a_broken_module_leaves_the_old_functions_running(serve, app_folder, records, eventually):
    app_folder.write("app.py", APP, answer="old")
    server = serve()
    app_folder.write("app.py", APP + "\nboom", answer="new")
    with pytest.raises(LoadError, match=r"app\.py:10: NameError"):
        server.reload()
    send(server, "app/hello")
    eventually(lambda: records.outputs() == ['"old"'])


def test_a_saved_file_is_noticed(serve, app_folder, records, eventually):
    app_folder.write("app.py", APP, answer="old")
    server = serve(watch=True)

    def noticed():
        # It is saved again should the first time have come before the watcher was ready.
        app_folder.write("app.py", APP + "\nboom", answer="new")
        return any(text.startswith("not reloaded: ") for text in records.texts())

    eventually(noticed)
    app_folder.write("app.py", APP, answer="new")
    eventually(lambda: "reloaded: 1 functions" in records.texts())
    send(server, "app/hello")
    eventually(lambda: records.outputs() == ['"new"'])


def test_many_requests_at_once(serve, app_folder, records, eventually):
    app_folder.write("app.py", APP, answer="x")
    server = serve()
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(send(server, "app/hello").status_code))
        for _ in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 64
    eventually(lambda: len(records.outputs()) == 64)


def test_stopping_does_not_wait_for_a_function_that_goes_on(serve, app_folder, eventually):
    code = APP.replace(
        "return", "os.environ['LOCAL_TEST'] = 'on'; __import__('threading').Event().wait();"
    )
    app_folder.write("app.py", code, answer="x")
    server = serve()
    send(server, "app/hello")
    eventually(lambda: os.environ.pop("LOCAL_TEST", None))
    stopping = threading.Thread(target=server.stop, daemon=True)
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive()
    with pytest.raises(httpx.ConnectError):
        send(server, "app/hello")


def test_a_taken_port_is_named(serve, app_folder):
    app_folder.write("app.py", APP, answer="x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} .*--port"):
            serve(port=port)


def test_a_failed_start_leaves_no_trace(serve, app_folder, records):
    app_folder.write("app.py", "1 / 0")
    before, handlers = dict(os.environ), list(logging.getLogger("tidegate").handlers)
    with pytest.raises(LoadError):
        serve()
    assert dict(os.environ) == before
    assert logging.getLogger("tidegate").handlers == handlers


def test_a_stopped_cloud_leaves_no_trace(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "the-developers-own")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    before = dict(os.environ)
    cloud = Cloud()
    cloud.start()
    folder = cloud.manifest_path.parent
    cloud.provision(Manifest(functions=()))
    assert cloud.manifest_path.exists()
    topics = boto3.client("sns").list_topics()["Topics"]
    assert [topic["TopicArn"] for topic in topics] == list(cloud.topic_arns), (
        "no call to that endpoint"
    )
    cloud.stop()
    assert dict(os.environ) == before
    assert not folder.exists()


CRON_APP = """
from tidegate import Client, TriggerCron
client = Client(app_id="shop")

@client.create_function(fn_id="report", trigger=TriggerCron(cron="{cron}"))
def report(ctx):
    return ctx.event.data
"""


def test_a_cron_starts_a_function_when_the_clock_says_so(serve, app_folder, records, eventually):
    app_folder.write("app.py", CRON_APP, cron="0 * * * *")
    now_ms = time.time_ns() // 1_000_000
    hour_ms = now_ms - now_ms % 3_600_000
    clock = FakeClock(hour_ms - 1_000)
    server = serve(clock=clock)
    [function] = httpx.get(f"{server.url}/v1/functions").json()["data"]
    assert function["triggers"] == [{"cron": "0 * * * *"}]
    clock.advance(seconds=1)
    eventually(lambda: records.outputs())
    [output] = map(json.loads, records.outputs())
    scheduled = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(hour_ms / 1000))
    assert output == {"cron": "0 * * * *", "scheduledAt": scheduled, "fireAt": scheduled}
    [started] = [r for r in records.kept if r.getMessage() == "run started"]
    event = httpx.get(f"{server.url}/v1/events/{started.event_id}").json()["data"]
    assert (event["name"], event["id"]) == ("inngest/scheduled.timer", scheduled)
    assert (event["data"], event["ts"]) == (output, hour_ms)
    [run] = httpx.get(f"{server.url}/v1/events/{started.event_id}/runs").json()["data"]
    assert (run["run_id"], run["status"]) == (started.run_id, "Completed")
    assert httpx.get(f"{server.url}/v1/events").json()["data"] == [], "it is of the system"


class HurryingClock(FakeClock):
    """Lets a minute pass whenever somebody looks."""

    def now_ms(self):
        self.advance(seconds=60)
        return self.ms


def test_reloading_changes_a_cron(serve, app_folder, records, eventually):
    app_folder.write("app.py", CRON_APP, cron="0 0 29 2 *")
    server = serve(clock=HurryingClock(time.time_ns() // 1_000_000 - 3_600_000))
    app_folder.write("app.py", CRON_APP, cron="* * * * *")
    server.reload()
    eventually(lambda: records.outputs())
    assert json.loads(records.outputs()[0])["cron"] == "* * * * *"


WANTING = """
from tidegate import Client, TriggerEvent
client = Client(app_id="shop")

@client.create_function(
    fn_id="big",
    trigger=TriggerEvent(event="app/order", expression="event.data.total > {least} && \\
        event.data.items.exists(item, item.sku == 'a')"),
)
def big(ctx):
    return ctx.event.data["total"]
"""


def order(server, total, sku="a"):
    data = {"total": total, "items": [{"sku": sku}]}
    answer = httpx.post(f"{server.url}/e/key", json={"name": "app/order", "data": data})
    assert answer.status_code == 200


def test_a_function_gets_the_events_that_its_expression_wants(
    serve, app_folder, records, eventually
):
    app_folder.write("app.py", WANTING, least="100")
    server = serve()
    listed = httpx.get(f"{server.url}/v1/functions").json()["data"][0]["triggers"]
    assert listed[0]["expression"].startswith("event.data.total > 100 &&")
    order(server, 100)
    order(server, 101, sku="b")
    order(server, 102)
    eventually(lambda: records.outputs() == ["102"])
    app_folder.write("app.py", WANTING, least="50")
    server.reload()
    order(server, 100)
    order(server, 50)
    order(server, 103)
    eventually(lambda: sorted(records.outputs()) == ["100", "102", "103"])


def test_an_expression_that_cannot_be_read_is_shown_with_its_place(serve, app_folder):
    app_folder.write("app.py", WANTING, least="event.")
    with pytest.raises(LoadError) as raised:
        serve()
    assert "app.py:" in str(raised.value)
    assert "function 'shop-big'" in str(raised.value)
    assert "column 27: '&&' does not belong here" in str(raised.value)


def test_an_expression_that_cannot_be_read_leaves_the_old_one_at_work(
    serve, app_folder, records, eventually
):
    app_folder.write("app.py", WANTING, least="100")
    server = serve()
    app_folder.write("app.py", WANTING, least="nothing")
    with pytest.raises(LoadError, match="unknown name 'nothing'"):
        server.reload()
    order(server, 99)
    order(server, 101)
    eventually(lambda: records.outputs() == ["101"])
