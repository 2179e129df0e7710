"""The bars themselves: rich, and what each unit looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Task


class AmountColumn(ProgressColumn):
    """How much of the total is done, in the stage's unit; empty where the total is unknown."""

    def render(self, task: Task) -> Text:
        """The text for one bar."""
        if task.total is None:
            return Text()
        unit = str(task.fields.get("unit", ""))
        if unit == "bytes":
            return Text(f"{decimal(int(task.completed))} of {decimal(int(task.total))}")
        return Text(f"{int(task.completed)} of {int(task.total)} {unit}".rstrip())


def make() -> Progress:
    """Bars on stderr that are gone when they stop."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        AmountColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
