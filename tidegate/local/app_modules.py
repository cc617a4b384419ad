"""The modules whose functions are served: imported, imported anew, and what is wrong with them."""

from __future__ import annotations

import importlib
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

import tidegate
from tidegate import registry
from tidegate.errors import ConfigurationError, TidegateError
from tidegate.event_model import declare, declared
from tidegate.function import Function
from tidegate.local.lambda_function import EXECUTING
from tidegate.manifest import Manifest

_OURS = Path(tidegate.__file__).parent
_INSTALLED = tuple(
    Path(folder)
    for folder in (*site.getsitepackages(), *sysconfig.get_paths().values())
    if folder != sys.prefix
)


class LoadError(TidegateError):
    """The app's modules cannot be imported; the message is one line with file and line."""


@dataclass(frozen=True, order=True)
class Root:
    """A folder whose modules are the app's.

    Attributes:
        folder: the folder.
        recursive: whether the folders below it belong to it: so for packages. Around a single
            file may lie anything, virtual environments too.
    """

    folder: Path
    recursive: bool

    def holds(self, file: Path) -> bool:
        """Whether the file belongs to it."""
        return self.folder in file.parents if self.recursive else self.folder == file.parent


class AppModules:
    """The served modules.

    Args:
        targets: dotted names of modules, or paths of files or folders.

    Attributes:
        roots: the folders whose files make up the app, known after `load`.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        self._targets = list(targets)
        self.roots: list[Root] = []

    def load(self) -> list[Function]:
        """The functions that the modules register.

        Raises:
            LoadError: a module or an expression is broken, or none registers a function.
        """
        try:
            with _no_stale_bytecode():
                modules = registry.load(self._targets)
            # It reads the expressions, so that a wrong one leaves what is served as it was.
            Manifest.of(registry.registered())
        except (Exception, SystemExit) as error:
            raise LoadError(one_line(error)) from error
        self.roots = _roots(modules)
        functions = registry.registered()
        if not functions:
            raise LoadError(
                f"{', '.join(self._targets)}: no function is registered there; "
                "write one with @client.create_function(…)"
            )
        return functions

    def reload(self) -> list[Function]:
        """The functions of the modules as they are now; when that fails all stays as it was.

        Raises:
            LoadError: as `load`.
        """
        with EXECUTING:
            functions, events = registry.registered(), declared()
            modules = {name: sys.modules.pop(name) for name in self._loaded()}
            registry.clear()
            try:
                return self.load()
            except LoadError:
                for name in self._loaded():
                    del sys.modules[name]
                sys.modules.update(modules)
                registry.clear()
                for function in functions:
                    registry.register(function)
                for event in events:
                    declare(event)
                raise

    def _loaded(self) -> list[str]:
        """The names of the app's modules that are imported at present."""
        return [
            name
            for name, module in list(sys.modules.items())
            if (file := _file(module)) is not None
            and name != "__main__"
            and any(root.holds(file) for root in self.roots)
        ]


def one_line(error: BaseException) -> str:
    """What went wrong in the app's own code, in one line that begins with file and line."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
        return f"{where}: {type(error).__name__}: {error.msg}"
    text = _text(error)
    frame = _frame(error)
    # Most of our own messages say themselves where: the line of the function, not of the call.
    if frame is None or (isinstance(error, ConfigurationError) and ".py:" in text):
        return text
    kind = "" if isinstance(error, ConfigurationError) else f"{type(error).__name__}: "
    return f"{frame.filename}:{frame.lineno}: {kind}{text}"


def _text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        faults = error.errors(include_url=False)
        return f"{error.title}: " + "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in faults
        )
    if isinstance(error, SystemExit):
        return f"exited with {error.code!r} while it was imported"
    return " ".join(str(error).split())


def _frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line of the app's own code in the error's traceback."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and _is_the_apps(Path(frame.filename))
    ]
    return frames[-1] if frames else None


def _is_the_apps(file: Path) -> bool:
    return _OURS not in file.parents and not any(folder in file.parents for folder in _INSTALLED)


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    path = Path(file) if file else None
    return path if path is not None and _is_the_apps(path) else None


def _roots(modules: Sequence[ModuleType]) -> list[Root]:
    roots = set()
    for module in modules:
        top = sys.modules[module.__name__.partition(".")[0]]
        if hasattr(top, "__path__"):
            roots |= {Root(Path(folder), recursive=True) for folder in top.__path__}
        elif (file := _file(top)) is not None:
            roots.add(Root(file.parent, recursive=False))
            roots |= set(_packages_in(file.parent))
    return sorted(roots)


def _packages_in(folder: Path) -> Iterator[Root]:
    """The packages of a folder that are imported."""
    for name, module in list(sys.modules.items()):
        file = _file(module)
        if "." not in name and file is not None and file == folder / name / "__init__.py":
            yield Root(file.parent, recursive=True)


@contextmanager
def _no_stale_bytecode() -> Iterator[None]:
    """Write no bytecode: it tells a source from the next by whole seconds and the size only."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
