"""Progress of long work: bars on a terminal, plain lines elsewhere. What is being done belongs to the caller."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

OnProgress = Callable[[str, float, float], None]
"""Called with what is being done, how much is done, and how much there is in all (0 when unknown)."""


@contextmanager
def progress(console: Console, title: str) -> Iterator[OnProgress]:
    """Show the progress of one piece of work and, at its end, how long it took."""
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"{title} …")
        last_text = ""

        def report(text: str, done: float, total: float) -> None:
            nonlocal last_text
            if text != last_text:
                console.print(f"  {time.monotonic() - started:6.1f} s  {text}", highlight=False)
                last_text = text

        yield report
    else:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),  # names of files hold brackets
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        ) as bars:
            task = bars.add_task(title, total=None)

            def report(text: str, done: float, total: float) -> None:
                bars.update(task, description=f"{title}: {text}", completed=done, total=total or None)

            yield report
    console.print(f"{title}: done in {time.monotonic() - started:.1f} s", highlight=False)
