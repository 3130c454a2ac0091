"""Giving memory back to the operating system."""

import ctypes
from collections.abc import Callable


def _trim() -> Callable[[int], int] | None:
    """The function malloc_trim, where the program runs on glibc."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None


_TRIM = _trim()


def release() -> None:
    """Give back what was freed: after an answer of 64 MB glibc would keep more than that for the rest of its days."""
    if _TRIM is not None:
        _TRIM(0)
