"""The static files of the dashboard, as they go to a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "static"
PAGE = "index.html"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_COMPRESSED_FROM_BYTES = 1_000


@dataclass(frozen=True)
class StaticFile:
    """A file.

    Attributes:
        content_type: its media type.
        content: its bytes.
    """

    content_type: str
    content: bytes

    @cached_property
    def etag(self) -> str:
        """Changes with the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)

    def body(self, *, gzipped: bool) -> dict[str, Any]:
        """The body of a gateway's answer, and the headers that describe it.

        Args:
            gzipped: whether the client understands gzip.
        """
        headers = {"content-type": self.content_type, "etag": self.etag, "vary": "accept-encoding"}
        content = self.content
        if gzipped and len(content) >= _COMPRESSED_FROM_BYTES:
            content = self._compressed
            headers["content-encoding"] = "gzip"
        text = base64.b64encode(content).decode()
        return {"headers": headers, "body": text, "isBase64Encoded": True}


@cache
def version() -> str:
    """A hash of all files; it is part of their addresses, which so never change their content.

    Modules import each other by relative paths, and so stay within one version.
    """
    content = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            content.update(f"{path.relative_to(FOLDER)}\n".encode())
            content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:16]


@cache
def static_file(name: str) -> StaticFile | None:
    """The file of that path in the folder of static files."""
    path = FOLDER / name
    # A name is only ever compared with what there is: none leads out of the folder.
    if path not in FOLDER.rglob("*") or path.suffix not in _TYPES:
        return None
    content = path.read_bytes()
    if name == PAGE:
        content = content.replace(b"{version}", version().encode())
        content = content.replace(b"{modules}", _preloads().encode())
    return StaticFile(_TYPES[path.suffix], content)


def _preloads() -> str:
    """Lets a browser fetch all modules at once, instead of one after the other finds it."""
    names = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.js"))
    links = (f'<link rel="modulepreload" href="/dashboard/{version()}/{name}">' for name in names)
    return "\n".join(links)
