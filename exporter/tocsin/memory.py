"""How the program takes memory from the operating system and gives it back, where it runs on glibc."""

import ctypes
from collections.abc import Callable

#: mallopt's number for the most heaps that there may be.
_M_ARENA_MAX = -8


def _trim() -> Callable[[int], int] | None:
    """The function malloc_trim; from now on threads share one heap.

    A history is folded in threads, and each of them would keep what it freed in a heap of its own, out of reach of the
    others: 60 MB at 100,000 resources. There is little to share: only one thread at a time runs Python.
    """
    try:
        libc = ctypes.CDLL(None)
        mallopt, trim = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError):
        return None
    mallopt(_M_ARENA_MAX, 1)
    return trim


_TRIM = _trim()


def release() -> None:
    """Give back what was freed: after an answer of 64 MB glibc would keep more than that for the rest of its days."""
    if _TRIM is not None:
        _TRIM(0)
