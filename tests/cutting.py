"""A wire to a server that hangs or is cut at a word that passes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class _Wire:
    port: int
    word: bytes
    hangs: bool
    passes: bool
    seen: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = asyncio.current_task()
        assert current is not None
        self.tasks.add(current)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
        both = [asyncio.create_task(self._there(reader, up_writer)), asyncio.create_task(self._back(up_reader, writer))]
        self.tasks.update(both)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in (up_writer, writer):
            one.close()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.seen = self.seen or self.word in data
            if self.seen and not self.passes:
                return await self._break()
            writer.write(data)
        return None

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.seen:
                return await self._break()
            writer.write(data)
        return None

    async def _break(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def wire(url: str, word: bytes, broken: str) -> AsyncIterator[str]:
    """URL by way of the wire; `broken` is `hang` or `cut`, and `before` or `after` the server has got the word."""
    parts = urlsplit(url)
    assert parts.port is not None
    hidden = _Wire(parts.port, word, hangs="hang" in broken, passes="after" in broken)
    server = await asyncio.start_server(hidden.handle, "127.0.0.1", 0)
    try:
        yield url.replace(f":{parts.port}/", f":{server.sockets[0].getsockname()[1]}/")
    finally:
        server.close()
        for one in hidden.tasks:
            one.cancel()
        await asyncio.gather(*hidden.tasks, return_exceptions=True)
