"""What Alertmanager says fires, against what is stored: for what its notifications left out, or never said.

What fires there and is routed to us is stored. What is open here and not there expires, but only after Alertmanager
has answered well for a while and nothing was heard of it for a while: one that was restarted knows nothing until
Prometheus has told it again. Nothing that cannot be read, or was left out, is ever taken for resolved.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
import structlog

from tocsin import names
from tocsin.respond import episodes
from tocsin.respond.intake import Intake
from tocsin.respond.payload import Notification, instant, listed
from tocsin.store import StoreError
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds between two looks at Alertmanager's list.
EVERY = 180.0
#: Seconds between two looks at the most, however often alerts are left out.
LEAST = 10.0
#: Seconds for which an episode is open without a word of it, and for which Alertmanager has to be up before it is
#: believed: Prometheus tells of what fires at every evaluation, and Alertmanager itself waits five minutes.
OWN_TIME = 600.0
#: The same without Alertmanager's list: twice the longest time in which Alertmanager repeats itself.
ALONE = 2 * 5 * 86_400.0
#: Largest answer, and the seconds in which it has to come.
MAX_ANSWER = 64 * 2**20
PATIENCE = 20.0


class Unreachable(Exception):
    """Alertmanager did not answer, or not as its API does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What fires in Alertmanager, and since when that has been up; unix time."""

    alerts: Notification
    up_since: float


class _Status(msgspec.Struct):
    uptime: str


async def ask(url: str, now: float, replica_labels: Collection[str]) -> Answer:
    """Ask Alertmanager. Raises Unreachable."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            # The list first: it is believed only if Alertmanager was up before it was made.
            alerts = listed(await _get(session, url, "/api/v2/alerts"), now, replica_labels)
            status = msgspec.json.decode(await _get(session, url, "/api/v2/status"), type=_Status)
            up = instant(status.uptime)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, ValueError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    if up is None:
        raise Unreachable("it does not say since when it is up")
    return Answer(alerts, up)


async def _get(session: aiohttp.ClientSession, url: str, path: str) -> bytes:
    async with session.get(url.rstrip("/") + path, allow_redirects=False) as response:
        if response.status != 200:
            raise Unreachable(f"{path} answered {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(2**16):
            body += chunk
            if len(body) > MAX_ANSWER:
                raise Unreachable(f"{path} answered with more than {MAX_ANSWER} bytes")
        return bytes(body)


class Reconciler:
    """Looks at Alertmanager's list at start, every few minutes, and when a notification left alerts out."""

    def __init__(
        self,
        intake: Intake,
        store: StoreHandle,
        telemetry: Telemetry,
        clock: Callable[[], float],
        *,
        url: Callable[[], str | None],
        replica_labels: Callable[[], Collection[str]],
    ) -> None:
        self._intake, self._store, self._telemetry, self._clock = intake, store, telemetry, clock
        self._url, self._replica_labels = url, replica_labels
        self._why: str | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at once, and from now on."""
        self._intake.truncated = self._left_out
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> episodes.Stored | None:
        """Look once; None when there was nothing to see. Raises StoreError."""
        now, url = self._clock(), self._url()
        if url is None:
            known = await self._store.read(episodes.open_ones)
            await self._expire(list(known.values()), now - ALONE, now)
            return None
        try:
            answer = await ask(url, now, self._replica_labels())
        except Unreachable as error:
            self._warn("alertmanager cannot be asked what fires; nothing is resolved by that", str(error))
            self._count("unreachable")
            return None
        stored = await self._store_missing(answer, now)
        known = await self._store.read(episodes.open_ones)
        there = {alert.identity for alert in answer.alerts.alerts}
        heard = [one.id for identity, one in known.items() if identity in there]
        await self._store.group(lambda connection: episodes.touch(connection, heard, now))
        if answer.alerts.invalid:
            self._warn("alertmanager lists alerts that cannot be read, so none expires", str(answer.alerts.invalid[0]))
            self._count("unreadable")
            return stored
        self._why = None
        if now - answer.up_since > OWN_TIME:
            gone = [one for identity, one in known.items() if identity not in there]
            await self._expire(gone, now - OWN_TIME, now)
        self._count("ok")
        return stored

    async def _store_missing(self, answer: Answer, now: float) -> episodes.Stored:
        ours = self._intake.receivers | {names.TO_TOCSIN}
        # What a silence or another alert hides is not sent to us either.
        wanted = [alert for alert in answer.alerts.alerts if alert.active and alert.receivers & ours]
        return await self._intake.keep_listed(wanted, now)

    async def _expire(self, known: Sequence[episodes.Known], before: float, now: float) -> None:
        ids = [one.id for one in known if one.last_seen < before]
        if ids:
            gone = await self._store.group(lambda connection: episodes.expire(connection, ids, before, now))
            log.info("episodes have expired: nothing says that they fire", count=len(gone))
            self._intake.stored(episodes.Stored(ended=gone))

    def _count(self, outcome: str) -> None:
        self._telemetry.count("reconciliations_total", outcome)

    def _warn(self, what: str, why: str) -> None:
        """Say it once for each reason."""
        if why != self._why:
            self._why = why
            log.warning(what, why=why)

    def _left_out(self) -> None:
        if self._url() is None and not self._wanted.is_set():
            log.warning("a notification left alerts out; expected alertmanager.url, to ask which, or max_alerts: 0")
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            try:
                await self.once()
            except StoreError as error:
                self._count("store")
                log.warning("what fires could not be stored", reason=error.reason, why=str(error))
            except Exception:
                # A fault of ours must not end this for good.
                self._count("fault")
                log.exception("what fires could not be compared")
            await asyncio.sleep(LEAST)
            try:
                async with asyncio.timeout(EVERY - LEAST):
                    await self._wanted.wait()
            except TimeoutError:
                continue
