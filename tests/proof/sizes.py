"""How much is proven: `TOCSIN_PROOF` is `test` (the default), `matrix` or `proof`."""

import os
import sys

SIZE = os.environ.get("TOCSIN_PROOF", "test")


def sized(test: int, matrix: int, proof: int) -> int:
    """A number for this size."""
    return {"test": test, "matrix": matrix, "proof": proof}[SIZE]


def told(result: str) -> None:
    """Say what was found: shown by `pytest -s`, and when a test fails."""
    sys.stdout.write(f"{result}\n")
