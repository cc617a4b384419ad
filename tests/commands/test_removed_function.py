"""The command line and a function that was removed while its runs sleep."""

from __future__ import annotations

import pytest

from tests.commands.conftest import APP, Commands, Server
from tests.commands.test_server import begun, eventually, has_status
from tests.local.conftest import AppFolder
from tidegate.clock import SystemClock
from tidegate.local.server import DevServer


def test_it_is_shown_and_its_runs_are_ended(
    app_folder: AppFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    file = app_folder.write("shop_app.py", APP, mended="no")
    with DevServer([str(file)], port=0) as dev:
        run = Commands(capsys, SystemClock(), before=("--url", dev.url))
        run_id = begun(Server(run, app_folder.path), "app/tired")
        app_folder.write("shop_app.py", APP.split('@client.create_function(fn_id="rest"')[0])
        dev.reload()
        [row] = [one for one in run("functions", "list").lines if one.startswith("shop-rest")]
        assert row.endswith("nothing: it was removed, and its runs that wait are ended")
        assert "it was removed" in run("functions", "show", "shop-rest").out
        [listed] = run("runs", "list", "--function", "shop-rest", "--json").json
        assert (listed["run_id"], listed["status"]) == (run_id, "Running")
        refused = run("functions", "invoke", "shop-rest").error
        assert "Function not found: shop-rest was removed, so nothing can start it" in refused
        cancelled = run("runs", "cancel", "--function", "shop-rest")
        assert "Completed: 1 of 1 runs cancelled" in cancelled.out
        server = Server(run, app_folder.path)
        eventually(run.clock, lambda: has_status(server, run_id, "Cancelled"))
        assert "'shop-rest' is not registered any more" in run("runs", "rerun", run_id).error
