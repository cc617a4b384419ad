"""The functions that modules register by being imported, and the importing of such modules."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from tidegate.errors import ConfigurationError
from tidegate.event_model import forget_declared
from tidegate.function import Function, removed_function
from tidegate.manifest import Manifest

_functions: dict[str, Function] = {}


def register(function: Function) -> Function:
    """Add a function, and the one that its failures start, to what this process knows.

    Raises:
        ConfigurationError: another function already has such an id.
    """
    added = [one for one in (function, function.on_failure) if one is not None]
    for one in added:
        other = _functions.get(one.id)
        if other is not None and other.source != one.source:
            raise ConfigurationError(
                f"{one.source}: function id {one.id!r} is already taken by {other.source}"
            )
    _functions.update({one.id: one for one in added})
    return function


def registered() -> list[Function]:
    """All functions registered so far, in the order of their registration."""
    return list(_functions.values())


def clear() -> None:
    """Forget all functions and declared events, as before loading changed modules again."""
    _functions.clear()
    forget_declared()


def load_function(manifest: Manifest, function_id: str) -> Function:
    """A function of the manifest; the module that registers it is imported if it is not yet.

    For one that was removed no module is imported: what stands for it ends its runs.

    Raises:
        ConfigurationError: the manifest has no such function, or its module registers none.
    """
    described = manifest.deployed_function(function_id)
    if described is None:
        raise ConfigurationError(f"the manifest has no function {function_id!r}")
    if described.is_removed:
        return removed_function(described.id, described.app_id)
    if function_id not in _functions:
        importlib.import_module(described.module)
    if function_id not in _functions:
        raise ConfigurationError(f"{described.module} registers no function {function_id!r}")
    return _functions[function_id]


def load(targets: Iterable[str]) -> list[ModuleType]:
    """Import modules, so that their functions register.

    Args:
        targets: dotted module names, or paths of `.py` files or folders. Of a package every module
            below it is imported, of another folder the `.py` files in it.

    Raises:
        ConfigurationError: a target does not exist, or another module has its name; what a module
            itself raises passes through.
    """
    return [module for target in targets for module in _load(target)]


def _load(target: str) -> list[ModuleType]:
    path = Path(target)
    if path.suffix == ".py" or path.exists():
        return _load_path(path.resolve())
    try:
        return _import_with_submodules(target)
    except ModuleNotFoundError as error:
        if not f"{target}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(
            f"{target}: no such file, folder or module; name a .py file, a folder or a module"
        ) from None


def _load_path(path: Path) -> list[ModuleType]:
    if not path.exists():
        raise ConfigurationError(f"{path}: no such file")
    root = path.parent
    while (root / "__init__.py").exists():
        root = root.parent
    # A module of a folder with __init__.py is imported under its package's name, so that the
    # module a function was deployed from and the one it is developed in have the same name.
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if path.is_file():
        dotted = ".".join(path.relative_to(root).with_suffix("").parts)
        return [_import_from(path, dotted.removesuffix(".__init__"))]
    if (path / "__init__.py").exists():
        dotted = ".".join(path.relative_to(root).parts)
        _import_from(path / "__init__.py", dotted)
        return _import_with_submodules(dotted)
    modules = [module for file in sorted(path.glob("*.py")) for module in _load_path(file)]
    if not modules:
        raise ConfigurationError(f"{path}: no .py file in this folder")
    return modules


def _import_from(file: Path, name: str) -> ModuleType:
    module = importlib.import_module(name)
    if module.__file__ is None or Path(module.__file__).resolve() != file:
        raise ConfigurationError(
            f"{file}: another module is called {name!r}, {module.__file__ or 'a built-in one'}; "
            "rename one of them"
        )
    return module


def _import_with_submodules(name: str) -> list[ModuleType]:
    module = importlib.import_module(name)
    below = pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}.")
    return [module, *(importlib.import_module(info.name) for info in below)]
