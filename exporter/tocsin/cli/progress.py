"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

log = structlog.get_logger(__name__)

#: Seconds between two plain lines about the same work.
_EVERY = 5.0


class Progress:
    """Call it with (what, done, total); work that is done at once shows nothing."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note that `done` of `total` units of `what` are done."""
        if self._terminal:
            self._bar(what, done, total)
        else:
            self._line(what, done, total)

    def _bar(self, what: str, done: int, total: int) -> None:
        if self._bars is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bars = Bars(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))
            if not self._tasks:
                self._bars.stop()
                self._bars = None

    def _line(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began = self._began.setdefault(what, now)
        if done >= total:
            self._began.pop(what), self._told.pop(what, None)
        elif now - self._told.get(what, began) >= _EVERY:
            self._told[what] = now
            log.info("filling", signal=what, done=done, total=total)

    def close(self) -> None:
        """End what is still shown."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
