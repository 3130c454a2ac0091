"""Which file system a folder is on, because SQLite's journal is memory that all its users share."""

import os
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
#: Others may be as bad; these are what volumes for many machines are made of.
_NETWORK = {"afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs"}
_NETWORK |= {"gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}


def network(folder: Path) -> str | None:
    """The kind of network file system that the folder is on; None when it is not, or nobody says."""
    try:
        table = _TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = kind_of(os.path.realpath(folder), table)
    return kind if kind in _NETWORK else None


def kind_of(path: str, table: str) -> str:
    """Kind of the file system that has this path, by a table as in proc(5) under mountinfo; "" when none has."""
    best, kind = -1, ""
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        # The mount point is the fifth field, with blanks as octal escapes.
        point = before.split(" ")[4].replace("\\040", " ").rstrip("/")
        # The last of those that are mounted at one place is the one that is seen.
        if (path == point or path.startswith(point + "/")) and len(point) >= best:
            best, kind = len(point), after.split(" ")[0]
    return kind
