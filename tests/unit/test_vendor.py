"""The libraries in the dashboard are those of the pinned packages, and nothing else."""

from __future__ import annotations

import json

import pytest

from tidegate.local.vendor import MODULES, PACKAGES, ROOT, TARGET, file_name, rewritten, wanted


def test_they_are_the_installed_packages_byte_for_byte() -> None:
    if not (PACKAGES / "preact").exists():
        pytest.fail("node_modules is missing or old; run `make .stamps/node`")
    here = {path.name: path.read_text() for path in TARGET.iterdir()}
    assert here == wanted(), "run `make vendor`"


def test_their_versions_are_those_of_the_lock() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for package, version in json.loads((TARGET / "versions.json").read_text()).items():
        locked = lock[f"node_modules/{package}"]
        assert locked["version"] == version
        assert locked["integrity"].startswith("sha512-")


def test_only_the_imports_and_the_source_map_differ_from_a_package() -> None:
    source = 'import{a as b}from"preact/hooks";import c from"other";x()\n//# sourceMappingURL=m.map'
    assert rewritten(source) == ('import{a as b}from"./preact-hooks.js";import c from"other";x()\n')


def test_nothing_in_them_is_imported_from_elsewhere() -> None:
    names = {file_name(imported) for imported in MODULES}
    for name in names:
        text = (TARGET / name).read_text()
        assert "import(" not in text
        for part in text.split('from"')[1:]:
            assert part.partition('"')[0].removeprefix("./") in names
