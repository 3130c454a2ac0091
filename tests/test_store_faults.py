"""What breaks under an SQLite store: each fault has its named error, and the store works again once it is gone."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from stores import NOW, Place, add, count, episode, named
from tocsin.store import (
    Store,
    StoreCannotOpen,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
    mounts,
)
from tocsin.store.tables import episodes
from tocsin.store.writer import Writer

LARGE = "x" * 200_000


@pytest.fixture
def file(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path / 'tocsin.db'}", None, None)


@pytest.fixture
def nobodys(file: Place) -> Iterator[Path]:
    """A folder of a user who is not root, and their rights; root may write whatever the mode says."""
    # What is imported when it is first used may be where only root can read.
    with file.open() as store:
        add(store, 1)
        count(store)
    with tempfile.TemporaryDirectory(prefix="tocsin-") as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def limit_pages(store: Store, more: int) -> None:
    with store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")


def test_a_full_disk_is_no_reason_to_try_again_and_is_over_when_there_is_room(file: Place) -> None:
    with file.open() as store:
        limit_pages(store, 5)
        add(store, 1)
        with pytest.raises(StoreFull) as caught:
            add(store, 2, annotations={"a": LARGE})
        assert named(caught.value) == ("full", False, False)
        assert count(store) == 1
        limit_pages(store, 1000)
        add(store, 2, annotations={"a": LARGE})
        assert count(store) == 2


def test_a_full_disk_fails_a_whole_group_and_is_named_to_everybody(file: Place) -> None:
    with file.open() as store, Writer(store) as writer:
        limit_pages(store, 5)

        def all_at_once(connection: Any) -> None:
            connection.execute(episodes.insert(), episode(1))
            connection.execute(episodes.insert(), episode(2, annotations={"a": LARGE}))

        assert isinstance(writer.submit(all_at_once).exception(10), StoreFull)
        assert count(store) == 0
        limit_pages(store, 1000)
        assert writer.submit(all_at_once).exception(10) is None
        assert count(store) == 2


def test_a_disk_that_is_full_after_a_bad_item_is_named_as_full_to_everybody(file: Place) -> None:
    with file.open() as store, Writer(store) as writer:
        limit_pages(store, 5)
        held, go = threading.Event(), threading.Event()
        writer.submit(lambda _: held.set() or go.wait(10))
        assert held.wait(10)
        rows = [episode(1), episode(1), episode(2, annotations={"a": LARGE}), episode(3)]
        answers = [writer.submit(lambda c, row=row: c.execute(episodes.insert(), row)) for row in rows]
        go.set()
        assert [type(answer.exception(10)) for answer in answers] == [StoreFull] * 4
        assert count(store) == 0


def test_a_file_that_may_not_grow_is_an_error_and_what_was_there_stays(file: Place) -> None:
    program = (
        "import resource, signal, sys; from stores import *; from tocsin.store import StoreError\n"
        "from tocsin.store.tables import episodes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with Place(sys.argv[1], None, None).open() as store:\n"
        "    with store.write() as c: c.execute(episodes.insert(), episode(1))\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        with store.write() as c: c.execute(episodes.insert(), episode(2, annotations={'a': 'x' * 400_000}))\n"
        "    except StoreError as error: print(error.reason, error.retry)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    with store.write() as c: c.execute(episodes.insert(), episode(3))\n"
    )
    argv = [sys.executable, "-c", program, file.url]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parent, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("io_error False\n", "")
    with file.open() as store, store.read() as connection:
        assert connection.execute(select(episodes.c.id)).scalars().all() == ["e1", "e3"]


def test_a_read_only_file_is_named_and_can_be_read(nobodys: Path) -> None:
    place = Place(f"sqlite:///{nobodys / 'tocsin.db'}", None, None)
    with place.open() as store:
        add(store, 1)
    place.path.chmod(0o400)
    with place.open(migrate=False) as store:
        assert count(store) == 1
        with pytest.raises(StoreReadOnly) as caught:
            add(store, 2)
        assert named(caught.value) == ("read_only", False, False)
    place.path.chmod(0o600)
    with place.open() as store:
        add(store, 2)
        assert count(store) == 2


def test_a_folder_that_nobody_may_write_is_named(nobodys: Path) -> None:
    nobodys.chmod(0o500)
    with pytest.raises(StoreCannotOpen, match="Permission denied"):
        Store.open(f"sqlite:///{nobodys / 'tocsin.db'}", now=NOW)


def test_a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none' / 'tocsin.db'}"
    with pytest.raises(StoreCannotOpen) as caught:
        Store.open(url, now=NOW)
    assert str(caught.value) == f"cannot open the store: the folder {tmp_path / 'none'} does not exist"
    assert named(caught.value) == ("cannot_open", False, False)
    (tmp_path / "none").mkdir()
    Store.open(url, now=NOW).close()


def test_what_is_no_file_is_named_and_not_waited_for(file: Place) -> None:
    os.mkfifo(file.path)
    with pytest.raises(StoreCannotOpen, match="is not a file"):
        file.open()
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(StoreCannotOpen, match="Is a directory"):
        file.open()


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /var/lib rw - nfs4 files:/lib rw,vers=4.2
31 30 0:41 / /var/lib/tocsin rw - ext4 /dev/vdb rw
32 22 0:42 / /srv/our\040files rw - cifs //files/ours rw
33 22 0:43 / /srv/twice rw - nfs files:/a rw
34 33 0:44 / /srv/twice rw - xfs /dev/vdc rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc", "ext4"),
        ("/", "ext4"),
        ("/var/lib", "nfs4"),
        ("/var/library", "ext4"),
        ("/var/lib/other", "nfs4"),
        ("/var/lib/tocsin", "ext4"),
        ("/srv/our files/x", "cifs"),
        ("/srv/twice", "xfs"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert mounts.kind_of(path, MOUNTS) == kind


def test_a_network_file_system_is_refused(file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    table = file.path.with_name("mountinfo")
    table.write_text(f"22 1 0:1 / / rw - ext4 /dev/vda rw\n23 22 0:2 / {file.path.parent} rw - nfs4 files:/x rw\n")
    monkeypatch.setattr(mounts, "_TABLE", table)
    with pytest.raises(StoreCannotOpen, match="is on nfs4: expected a disk of this machine"):
        file.open()
    assert not file.path.exists()


def test_a_file_that_is_no_database_is_corrupt_and_left_alone(file: Place) -> None:
    file.path.write_text("these are notes, and long enough to be a page of something" * 100)
    before = file.path.read_bytes()
    with pytest.raises(StoreCorrupt) as caught:
        file.open()
    assert named(caught.value)[:2] == ("corrupt", False)
    assert file.path.read_bytes() == before


def test_a_damaged_page_is_corrupt_and_a_repaired_file_is_not(file: Place) -> None:
    with file.open() as store:
        add(store, 1, annotations={"a": LARGE})
    good = file.path.read_bytes()
    with file.open() as store:
        with file.path.open("r+b") as damaged:
            damaged.seek(4096)
            damaged.write(b"\xff" * (len(good) - 4096))
        with pytest.raises(StoreCorrupt), store.read() as connection:
            connection.execute(select(episodes)).all()
        with pytest.raises(StoreCorrupt):
            add(store, 2)
        with file.path.open("r+b") as repaired:
            repaired.write(good)
        add(store, 2)
        assert count(store) == 2


def test_a_file_that_was_moved_away_takes_no_more_writes(file: Place, tmp_path: Path) -> None:
    with file.open() as store:
        add(store, 1)
        elsewhere = tmp_path / "elsewhere"
        file.path.rename(elsewhere)
        with pytest.raises(StoreCannotOpen, match="is gone: No such file"):
            add(store, 2)
        shutil.copy(elsewhere, file.path)
        with pytest.raises(StoreCannotOpen, match="is another file than the one that was opened"):
            count(store)
        elsewhere.replace(file.path)
        add(store, 2)
        assert count(store) == 2
