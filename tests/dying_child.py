"""The child that dies: the program as `tocsin serve` runs it, killed by itself with SIGKILL at a named point."""

import asyncio
import os
import signal
import time
from pathlib import Path

from tocsin.cli.logs import configure
from tocsin.cli.serve import Listen, run
from tocsin.config.load import load


def serve(path: str, port: int, point: str, nth: int, ahead: float) -> None:
    """Serve until SIGTERM, or until the point has been reached `nth` times."""
    left = nth

    def probe(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    log = Path(path).with_suffix(".log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    configure("info", "logfmt")
    listen = Listen("127.0.0.1", port)
    raise SystemExit(asyncio.run(run(Path(path), load(path), listen, clock=lambda: time.time() + ahead, probe=probe)))
