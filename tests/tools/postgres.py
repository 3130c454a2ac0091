"""A private PostgreSQL for tests: a cluster in a folder of its own, on loopback, gone when the test session is."""

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import psycopg
import pytest

from tocsin.demo.servers import free_port

USER = "tocsin"
PASSWORD = "a canary that nobody prints"  # noqa: S105  of a server that lives as long as the test
_DEBIAN = Path("/usr/lib/postgresql")


def require() -> Path:
    """Folder of PostgreSQL's programs; without it the test is skipped here and fails where CI=true."""
    if os.environ.get("WITHOUT_SERVERS") == "true":
        pytest.skip("needs postgres")
    # Debian keeps them off PATH, one folder for each version.
    found = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).parent)
    if found:
        return max(found, key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()])
    message = "initdb is neither on PATH nor in /usr/lib/postgresql: install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Cluster:
    """A server with any number of databases; use as a context manager."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._bin = require()
        self._fsync = fsync
        # PostgreSQL refuses to run as root, and its user has to reach the folder: pytest's own are closed to others.
        self._folder = Path(tempfile.mkdtemp(prefix="tocsin-postgres-"))
        self._user = pwd.getpwnam("postgres" if _exists("postgres") else "nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._empty: list[str] = []
        self._names = (f"test{i}" for i in itertools.count())
        self.port = free_port()
        self.password_file = self._folder / "password"

    def __enter__(self) -> Self:
        self.password_file.write_text(PASSWORD + "\n")
        if self._user is not None:
            for path in (self._folder, self.password_file):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        atexit.register(self.__exit__)
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={self.password_file}", "--no-sync"]
        options += ["--encoding=UTF8", "--no-locale"]
        argv = self._argv("initdb", f"--pgdata={self._folder / 'data'}", *options)
        subprocess.run(argv, check=True, capture_output=True, cwd="/")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        atexit.unregister(self.__exit__)
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start, and return when it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on" if self._fsync else "off",  # what is killed here is a client
            "max_connections": 40,
            "shared_buffers": "16MB",
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv = self._argv("postgres", "-D", str(self._folder / "data"), *flags)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                return self.execute("SELECT 1")
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self._folder / "log").read_text(errors="replace"))
            time.sleep(0.05)

    def stop(self) -> None:
        """End every connection and stop, cleanly."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Stop at once, as after a loss of power: the next start recovers."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(30)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement that needs no transaction."""
        address = f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(address, password=PASSWORD, autocommit=True) as connection:
            connection.execute(statement)

    def database(self) -> str:
        """URL, without the password, of a new and empty database."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def take(self) -> str:
        """The same; one that was given back is at hand at once."""
        return self._empty.pop() if self._empty else self.database()

    def give_back(self, url: str) -> None:
        """Empty a database for whoever takes one next; one that cannot be emptied is left as it is."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(url, password=PASSWORD, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '5s'")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            self._empty.append(url)

    def _argv(self, program: str, *arguments: str) -> Sequence[str]:
        argv = [str(self._bin / program), *arguments]
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            assert self._user is None, "setpriv (util-linux) is needed to start PostgreSQL as root"
            return argv
        wrapper = [setpriv, "--pdeathsig", "KILL"]
        if self._user is not None:
            wrapper += [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]
        return [*wrapper, "--", *argv]


def _exists(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False
