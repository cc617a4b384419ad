"""A dev server, the same stage behind keys, and a browser that looks at them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser import chromium
from tests.browser.deployed import Deployed, deployed
from tests.browser.pages import Watch, Window
from tests.e2e.serving import Served, serving

# Far beyond what anything here takes.
PATIENCE_MS = 60_000
ARGUMENTS = ("--disable-gpu", "--disable-background-networking", "--no-first-run")

DESKTOP = {"width": 1280, "height": 800}

# A new window shows an empty page first, which has no storage.
_LOOK_INTO = 'if (location.host) sessionStorage.setItem("environment", %s)'

Visitor = Callable[..., BrowserContext]
Look = Callable[..., Window]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window; without Chromium its tests are skipped, but not in CI."""
    path = chromium.find()
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(chromium.MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def served() -> Iterator[Served]:
    """A dev server, open to everybody on this machine."""
    with serving("tests.browser.harbour") as served:
        yield served


@pytest.fixture(scope="package")
def closed(served: Served) -> Iterator[Deployed]:
    """The same stage behind keys."""
    with deployed(served.server) as closed:
        yield closed


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Sees all that goes on in the test's pages; what must not happen fails the test."""
    watch = Watch()
    yield watch
    watch.check()


@pytest.fixture
def visitor(browser: Browser, watch: Watch) -> Iterator[Visitor]:
    """Makes browsers with cookies of their own at a server, watched."""
    with ExitStack() as opened:

        def make(url: str, env: str = "", **options: Any) -> BrowserContext:
            watch.origins.add(url)
            context = browser.new_context(base_url=url, **{"viewport": DESKTOP, **options})
            opened.callback(context.close)
            watch.over(context)
            if env:
                context.add_init_script(_LOOK_INTO % json.dumps(env))
            return context

        yield make


@pytest.fixture
def look(request: pytest.FixtureRequest, served: Served, visitor: Visitor) -> Look:
    """Opens windows at the dev server, in an environment that is the test's own."""
    env = request.node.name[:100].replace(" ", "-")

    def make(env: str = env, **options: Any) -> Window:
        return Window(visitor(served.server.url, env, **options).new_page(), served, env)

    return make


@pytest.fixture
def window(look: Look) -> Window:
    """A window at the dev server, as wide as a desk's screen."""
    return look()
