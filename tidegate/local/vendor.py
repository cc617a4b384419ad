"""The libraries of the dashboard's page, copied out of their npm packages: `make vendor`.

A browser cannot resolve the names of packages without an import map, which would have to be inline
script. So the only thing that is changed in a file is that its imports name the file beside it.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "node_modules"
TARGET = ROOT / "tidegate" / "dashboard" / "static" / "vendor"

# By the name that is imported, the package, and the module in it.
MODULES = {
    "preact": ("preact", "dist/preact.mjs"),
    "preact/hooks": ("preact", "hooks/dist/hooks.mjs"),
    "@preact/signals-core": ("@preact/signals-core", "dist/signals-core.mjs"),
    "@preact/signals": ("@preact/signals", "dist/signals.mjs"),
    "htm": ("htm", "dist/htm.mjs"),
}
_IMPORT = re.compile(r'\bfrom"([^"]+)"')
_SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=.*\s*\Z")


def file_name(imported: str) -> str:
    """What the module of that name is called here."""
    return f"{imported.removeprefix('@').replace('/', '-')}.js"


def rewritten(source: str) -> str:
    """A package's module as it lies in the dashboard: imports by file, no source map."""

    def by_file(match: re.Match[str]) -> str:
        return f'from"./{file_name(match[1])}"' if match[1] in MODULES else match[0]

    return _SOURCE_MAP.sub("\n", _IMPORT.sub(by_file, source))


def wanted(packages: Path = PACKAGES) -> dict[str, str]:
    """By file name, what the dashboard's folder must hold."""
    files: dict[str, str] = {}
    versions: dict[str, str] = {}
    for imported, (package, module) in MODULES.items():
        folder = packages / package
        files[file_name(imported)] = rewritten((folder / module).read_text())
        versions[package] = json.loads((folder / "package.json").read_text())["version"]
        license_name = f"LICENSE-{file_name(package).removesuffix('.js')}.txt"
        files[license_name] = (folder / "LICENSE").read_text()
    files["versions.json"] = json.dumps(versions, indent=2, sort_keys=True) + "\n"
    return files


def main() -> None:
    """Put the files of the installed packages into the dashboard."""
    files = wanted()
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    for name, text in files.items():
        (TARGET / name).write_text(text)


if __name__ == "__main__":
    main()
