"""The demonstration from its first line to its last: history, servers, surge, and the end of everything it started."""

import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.demo import servers, setup
from tocsin.demo.fleet import LOADS
from tocsin.demo.journey import TIERS, Journey, Stage
from tocsin.demo.load import Burst, Fleet
from tocsin.demo.ports import check_programs, choose
from tocsin.demo.readings import Reading, arrived, read
from tocsin.demo.school import School
from tocsin.demo.screen import Screen, band, number, percent
from tocsin.demo.servers import Server, ServerError
from tocsin.demo.workload import HISTORY, MINUTE, Surge, Workload

SURGING = "piano"
TIME_LIMIT = 150.0
_POLL = 0.5
#: Seconds for which everything is shown as it should be, before the surge.
_CALM = 6.0
#: Seconds after the beginning of the surge until the errors begin.
_THEN = 5.0
_STYLES = {Stage.WATCH: "yellow", Stage.ACTION: "dark_orange", Stage.CRITICAL: "bold red", Stage.FIRING: "bold red"}
_STYLES[Stage.BURN] = "bold red"
SUCCESS = "normal, watch, action, critical, the alert and the webhook; an error budget that burns, and its alert"


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: `once` ends when everything was seen, or after `limit` seconds."""

    ports: setup.Ports
    once: bool = False
    keep: bool = False
    limit: float = TIME_LIMIT


def run(options: Options, screen: Screen | None = None) -> int:
    """Run the demonstration; return the exit status. ServerError when a server is missing, cannot start or ends.

    To be called in the main thread: the servers end with it, and SIGTERM ends it as Ctrl-C does.
    """
    check_programs()
    ports = choose(options.ports)
    screen = screen or Screen()
    with _ends_by_signal(), _directory(screen, keep=options.keep) as directory, contextlib.ExitStack() as started:
        # Entered last, left first: from here on nothing may interrupt the way out.
        demonstration = Demonstration(options, ports, directory, screen, started)
        try:
            demonstration.start()
            return demonstration.watch()
        except KeyboardInterrupt:
            return demonstration.interrupted()
        finally:
            _let_nothing_interrupt()
            demonstration.finish()


@contextlib.contextmanager
def _ends_by_signal() -> Iterator[None]:
    """SIGTERM ends the block as SIGINT does, also where a shell made this a background job that ignores SIGINT."""
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    for which in before:
        signal.signal(which, signal.default_int_handler)
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def _let_nothing_interrupt() -> None:
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, signal.SIG_IGN)


@contextlib.contextmanager
def _directory(screen: Screen, *, keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    try:
        yield directory
    finally:
        if keep:
            screen.say(f"kept: configurations, rules, data and logs are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _program() -> str:
    """How to call this program again from the same shell."""
    return sys.argv[0] if Path(sys.argv[0]).name == "tocsin" else "python -m tocsin"


class Demonstration:
    """One run; what it starts is ended by `started`, the last one first."""

    def __init__(
        self, options: Options, ports: setup.Ports, directory: Path, screen: Screen, started: contextlib.ExitStack
    ) -> None:
        self._options, self._ports, self._directory = options, ports, directory
        self._screen, self._started = screen, started
        origin = int(time.time()) // MINUTE * MINUTE
        self._workload, self._fleet = Workload(origin), Fleet(LOADS, origin)
        self._servers: list[Server] = []
        self._journey = Journey()
        self._reading = Reading()
        self._signals: dict[str, Sequence[str]] = {}
        self._arrived: set[str] = set()
        self._received = 0
        self._calm_since: float | None = None

    # ------------------------------------------------------------------------------------------------ start

    def start(self) -> None:
        """Fill the history and start every server."""
        files = setup.write(self._directory, self._ports)
        self._signals = {service.service: tuple(service.signals) for service in files.config.services}
        self._fill()
        pages = {"/metrics": self._workload.page, setup.FLEET_PATH: self._fleet.page}
        self._started.enter_context(School(pages, self._ports.workload))
        self._serve(
            servers.prometheus(self._directory, files.prometheus, port=self._ports.prometheus),
            servers.alertmanager(self._directory, files.alertmanager, port=self._ports.alertmanager),
        )
        address = f"127.0.0.1:{self._ports.tocsin}"
        argv = [sys.executable, "-m", "tocsin", "serve", f"--config.file={files.tocsin}"]
        argv.append(f"--web.listen-address={address}")
        self._serve(Server("tocsin", argv, self._ports.tocsin, self._directory))
        self._screen.open(self._addresses())

    def _addresses(self) -> dict[str, str]:
        """What to look at, by title."""
        prometheus, alertmanager, tocsin = (server.url for server in self._servers)
        return {
            "Tocsin": f"{tocsin}/",
            "its metrics": f"{tocsin}/metrics",
            "Prometheus": f"{prometheus}/alerts",
            "Alertmanager": f"{alertmanager}/#/alerts",
            "the workload": f"http://127.0.0.1:{self._ports.workload}/metrics",
            "why, in words": f"{_program()} explain {SURGING} --url {tocsin}",
        }

    def _fill(self) -> None:
        """Backfill what the workload would have shown in the past."""
        text, pieces = self._directory / "history.om", Workload.pieces() + len(LOADS)
        samples = 0
        # The blocks that promtool makes take about as long as the text.
        with self._screen.bar(f"{HISTORY // 86400} days of history", 2 * pieces) as advance:
            with text.open("w") as file:
                for piece in itertools.chain(self._workload.history(), self._fleet.history(int(time.time()))):
                    file.write(piece)
                    samples += piece.count("\n") - piece.count("#")
                    advance()
                file.write("# EOF\n")
            servers.backfill(text, self._directory / "data")
        text.unlink()
        self._screen.say(f"{HISTORY // 86400} days of history: {samples:,} samples backfilled with promtool")

    def _serve(self, *new: Server) -> None:
        """Start servers side by side and wait until all of them are ready."""
        for server in new:
            server.start()
            self._started.callback(server.stop)
            self._servers.append(server)
        for server in new:
            server.wait_ready()
            self._screen.say(f"{server.name} is ready at {server.url}")

    # ------------------------------------------------------------------------------------------------ watch

    def watch(self) -> int:
        """Show what happens until Ctrl-C, or with `once` until everything was seen or the time is over."""
        while True:
            self._look()
            self._direct()
            self._screen.show(self._reading, self._reading.row(SURGING), self._what())
            if self._options.once and not self._missing():
                self._screen.say(f"SUCCESS: {SUCCESS}", "bold green")
                return 0
            if self._options.once and self._screen.seconds > self._options.limit:
                self._screen.say(f"FAILED within {self._options.limit:g} s, not seen: {self._missing()}", "bold red")
                return 1
            time.sleep(_POLL)

    def _look(self) -> None:
        """Read the servers, which must all be alive; one that is slow for once shows nothing new."""
        for server in self._servers:
            if not server.running:
                raise ServerError(
                    f"{server.name} has ended; the last lines of its log:\n{server.tail().strip() or '(none)'}"
                )
        prometheus, _, tocsin = self._servers
        with contextlib.suppress(OSError):
            self._reading = read(tocsin.url, prometheus.url, setup.SUBJECT, self._signals)
            if self._reading.received > self._received:
                self._arrived |= arrived(tocsin.url)
                self._received = self._reading.received
        for stage in self._journey.observe(self._reading, SURGING, self._arrived, self._screen.seconds):
            self._screen.say(self._told(stage), _STYLES.get(stage, "green"))
            if stage is Stage.WEBHOOK and not self._options.once:
                self._screen.say("that was all of it: open the addresses below, Ctrl-C ends everything", "bold")

    def _told(self, stage: Stage) -> str:
        row = self._reading.row(SURGING)
        if stage not in (*TIERS, Stage.CALM):
            return stage.value
        return f"{SURGING}: {stage.value} ({percent(row.value)}, expected {band(row)}, z {number(row.z, 1)})"

    def _direct(self) -> None:
        """Begin the surge once all has been calm for a while, and the errors soon after it."""
        now, surge = time.time(), self._workload.surge
        if surge is None and Stage.NORMAL in self._journey.reached:
            self._calm_since = self._calm_since or now
            if now - self._calm_since >= _CALM:
                self._workload.surge = surge = Surge(SURGING, now)
                self._screen.say(
                    f"a surge begins on {SURGING}: {100 * surge.height:.0f} percentage points in {surge.rise:.0f} s",
                    "bold",
                )
        elif self._fleet.burst is None and surge is not None and now - surge.begin >= _THEN:
            self._fleet.burst = burst = Burst(now)
            self._screen.say(
                f"errors begin at maestro's API: {burst.rate:.0f} requests per second fail for {burst.length:.0f} s",
                "bold",
            )

    def _what(self) -> str:
        now, surge = time.time(), self._workload.surge
        if surge is None:
            return "everything is as usual, a surge will follow"
        if now < surge.peak_end:
            return f"a surge on {SURGING}"
        if self._reading.row(SURGING).tier > 0:
            return "the surge is over"
        if self._reading.row(SURGING).alert == "firing":
            return "the surge is over; the alert fires on for 5 minutes (keep_firing_for), so that it does not flap"
        return "the surge is over, and the alert is resolved"

    def _missing(self) -> str:
        """What was not seen: stages, and signals of which the workload has a series and Tocsin sees none."""
        empty = [f"any series of {line.service}/{name}" for line in self._reading.services for name in line.empty]
        return "; ".join([*self._journey.missing(), *empty])

    # ------------------------------------------------------------------------------------------------ end

    def interrupted(self) -> int:
        """Exit status after Ctrl-C: it is the usual end, unless somebody waits for the result."""
        self._screen.say("ending the servers")
        return 130 if self._options.once else 0

    def finish(self) -> None:
        """Leave the last table and stop every server."""
        self._screen.close(self._reading)
        self._started.close()
