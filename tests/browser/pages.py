"""Windows of a browser at the dashboard, and a watch over all that goes on in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    WebError,
    expect,
)
from playwright.sync_api import Request as PageRequest

from tests.e2e.serving import Served, until

# Violations of the Content-Security-Policy come into the console as well; here with their details.
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`violation of ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Watch:
    """What pages ask for and complain of.

    Attributes:
        origins: where requests may go.
        faults: what must not be.
    """

    origins: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    _expected: list[re.Pattern[str]] = field(default_factory=list)

    def expect_refusals(self, *statuses: int) -> None:
        """Chromium tells of each of these in the console, whatever the page makes of it."""
        self._expected += [re.compile(rf"Failed to load.* status of {one} ") for one in statuses]

    def expect_failed_requests(self) -> None:
        """The server is not there for a while."""
        self._expected.append(re.compile(r"Failed to load resource: net::ERR_"))

    def over(self, context: BrowserContext) -> None:
        """Watch a browser from its first page on."""
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", self._exception)
        context.on("dialog", self._dialog)
        context.add_init_script(_REPORT_VIOLATIONS)

    def check(self) -> None:
        """Fail if anything has happened that must not."""
        unexpected = [f for f in self.faults if not any(e.search(f) for e in self._expected)]
        assert not unexpected, "\n".join(unexpected)

    def _request(self, request: PageRequest) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" not in self.origins:
            self.faults.append(f"request to {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text} ({message.location['url']})")

    def _exception(self, error: WebError) -> None:
        self.faults.append(f"exception: {error.error}")

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@dataclass
class Window:
    """A window of a browser at the dashboard, and the server behind it.

    Attributes:
        page: the page.
        served: the server.
        env: the environment that the page looks into.
    """

    page: Page
    served: Served
    env: str

    def open(self, place: str = "events") -> Page:
        """Go to a place of the dashboard, such as `runs?status=Failed`."""
        self.page.goto(f"/#/{place}")
        expect(self.page.get_by_role("navigation", name="Main")).to_be_visible()
        return self.page

    def send(self, name: str, data: Any = None, **fields: Any) -> str:
        """Send an event past the page; gives its id."""
        [event_id] = self.served.send(
            {"name": name, "data": data or {}, **fields}, x_inngest_env=self.env
        )
        return event_id

    def run_of(self, event_id: str, *statuses: str) -> str:
        """The id of the event's one run, once it has one of these statuses."""

        def ask() -> str | None:
            for run in self.served.runs(event_id, self.env):
                if run["status"] in statuses:
                    return str(run["run_id"])
            return None

        return until(ask)

    def status(self, text: str) -> Locator:
        """The status of the run that is shown."""
        return self.page.locator(".title").get_by_text(text, exact=True)

    def row(self, text: str, label: str = "Events") -> Locator:
        """The row of a list that has a text."""
        return self.page.get_by_role("table", name=label).get_by_role("row").filter(has_text=text)
