"""A server on loopback, in a process of its own, that answers with prepared bytes and knows what it spent."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from aiohttp import web

#: By path: content type, and the bodies that are sent in turn.
Answers = Mapping[str, tuple[str, Sequence[bytes]]]
JSON = "application/json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Served:
    """A running server: its address, and how many answers it sent and the CPU seconds it spent so far."""

    url: str
    pipe: Connection

    def spent(self) -> tuple[int, float]:
        """Number of answers, CPU seconds."""
        self.pipe.send("spent")
        answers, seconds = self.pipe.recv()
        return int(answers), float(seconds)


class _Program:
    def __init__(self, answers: Answers) -> None:
        self._answers, self.sent = answers, 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        kind, bodies = self._answers[request.path]
        body = bodies[self.sent % len(bodies)]
        self.sent += 1
        response = web.StreamResponse(headers={"Content-Type": kind})
        response.content_length = len(body)
        await response.prepare(request)
        for start in range(0, len(body), _CHUNK):
            await response.write(body[start : start + _CHUNK])
        return response


async def _serve(answers: Answers, pipe: Connection) -> None:
    program, app = _Program(answers), web.Application()
    for path in answers:
        app.router.add_route("*", path, program.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv) == "spent":
        pipe.send((program.sent, time.process_time()))
    await runner.cleanup()


def _main(answers: Answers, pipe: Connection) -> None:
    asyncio.run(_serve(answers, pipe))


@contextlib.contextmanager
def serving(answers: Answers) -> Iterator[Served]:
    """Serve these answers until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(dict(answers), theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Served(f"http://127.0.0.1:{ours.recv()}", ours)
        ours.send("stop")
        process.join(10)
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
