"""Groups of commands in which `list` need not be said."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class ListingGroup(TyperGroup):
    """`tidegate runs --status Failed` is `tidegate runs list --status Failed`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before options, and where nothing is said."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def group(name: str, text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(name=name, help=text, cls=ListingGroup, rich_markup_mode=None)
