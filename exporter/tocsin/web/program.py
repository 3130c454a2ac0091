"""What every route needs of the running program, and what a route is."""

import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from tocsin.config.models import Scope
from tocsin.core.snapshot import Snapshot
from tocsin.guard.caller import Principal
from tocsin.guard.principals import Principals
from tocsin.respond.intake import Intake
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry


@dataclass(slots=True)
class Program:
    """What the routes need of the running program; everything is asked for at the time of the request."""

    snapshot: Callable[[], Snapshot]
    page: Callable[[bool], Iterator[bytes]]
    ready: Callable[[], bool]
    #: Faults of the configuration that was to be loaded, none when it is in force now.
    reload: Callable[[], Awaitable[Sequence[str]]]
    config_text: Callable[[], str]
    principals: Callable[[], Principals]
    #: Paths of open routes that ask for a principal all the same.
    closed: Callable[[], Collection[str]]
    telemetry: Telemetry
    intake: Intake
    store: StoreHandle
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Route:
    """A route, and the scope that its caller needs: always, or when its path is closed if it is `open`."""

    method: str
    path: str
    handler: Handler
    scope: Scope
    open: bool = True

    def guarded(self, program: Program) -> bool:
        """Whether it asks for a principal now."""
        return not self.open or self.path in program.closed()


PROGRAM = web.AppKey("program", Program)
#: Where a request has its principal, once it was let in.
PRINCIPAL = web.RequestKey("principal", Principal)


def answer(data: object, status: int = 200) -> web.Response:
    """An answer as JSON."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")
