"""Saved files, noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from watchfiles import PythonFilter, watch

from tidegate.local.app_modules import Root

_DEBOUNCE_MS = 100
_STEP_MS = 25
# How long a stop may take.
_WAKE_UP_MS = 200


class Watcher:
    """Calls back when a Python file below one of the folders was saved, added or removed.

    Args:
        roots: what to watch; virtual environments and the like are left out.
        changed: called in a thread of the watcher's.
    """

    def __init__(self, roots: Iterable[Root], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._stop = threading.Event()
        self._threads = []
        roots = list(roots)
        for recursive in (True, False):
            folders = [str(root.folder) for root in roots if root.recursive is recursive]
            if folders:
                self._threads.append(
                    threading.Thread(target=self._watch, args=[folders, recursive], daemon=True)
                )

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(2 * _WAKE_UP_MS / 1000)

    def _watch(self, folders: list[str], recursive: bool) -> None:
        for _ in watch(
            *folders,
            watch_filter=PythonFilter(),
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=self._stop,
            rust_timeout=_WAKE_UP_MS,
            yield_on_timeout=False,
            recursive=recursive,
            raise_interrupt=False,
        ):
            self._changed()
