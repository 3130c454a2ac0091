"""How the program uses the heap."""

import ctypes
import subprocess
import sys

import pytest

_THREADS = """
import ctypes, threading
import tocsin.memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)

def take():
    together.wait()
    libc.malloc(10_000)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="needs glibc")
def test_threads_share_one_heap() -> None:
    ended = subprocess.run([sys.executable, "-c", _THREADS], capture_output=True, text=True, check=True)
    assert ended.stderr.count("Arena ") == 1
