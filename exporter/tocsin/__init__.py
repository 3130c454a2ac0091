"""Tocsin: a sidecar for Prometheus that grades, forecasts and tells.

The package is read from the bottom up: :mod:`tocsin.names` and :mod:`tocsin.telemetry` know nothing of the rest,
:mod:`tocsin.core` turns numbers into decisions, :mod:`tocsin.engine` runs the loop, :mod:`tocsin.cli` wires it all.
"""

from importlib.metadata import version

__version__ = version("tocsin")
