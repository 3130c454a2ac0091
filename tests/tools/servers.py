"""Real servers for tests, and ways to put samples into them; processes come from tocsin.demo.servers."""

import contextlib
import json
import os
import struct
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tocsin.demo import servers
from tocsin.demo.servers import Server, ServerError

VICTORIA_METRICS = ("victoria-metrics",)
MINIMAL_CONFIG = "global: {scrape_interval: 15s}\n"

#: The NaN that means "this series ended here" (model/value of Prometheus); every other NaN is a value.
STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]


def require(*names: str) -> str:
    """Path of a program; without it the test is skipped here and fails where CI=true.

    With WITHOUT_SERVERS=true every such test is skipped: what these programs say does not depend on our Python.
    """
    if os.environ.get("WITHOUT_SERVERS") == "true":
        pytest.skip("needs " + " or ".join(names))
    try:
        return servers.find(names)
    except ServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextlib.contextmanager
def prometheus(directory: Path, config: str = MINIMAL_CONFIG, flags: Sequence[str] = ()) -> Iterator[Server]:
    """Run Prometheus until the block ends; it accepts remote write."""
    binary = require(*servers.PROMETHEUS)
    file = directory / "prometheus.yml"
    file.write_text(config)
    flags = ["--web.enable-remote-write-receiver", *flags]
    with servers.prometheus(directory, file, binary=binary, flags=flags) as server:
        yield server


@contextlib.contextmanager
def alertmanager(directory: Path, config: str, flags: Sequence[str] = ()) -> Iterator[Server]:
    """Run Alertmanager until the block ends."""
    binary = require(*servers.ALERTMANAGER)
    file = directory / "alertmanager.yml"
    file.write_text(config)
    with servers.alertmanager(directory, file, binary=binary, flags=flags) as server:
        yield server


@contextlib.contextmanager
def victoria_metrics(directory: Path, flags: Sequence[str] = ()) -> Iterator[Server]:
    """Run VictoriaMetrics until the block ends."""
    binary = require(*VICTORIA_METRICS)
    port = servers.free_port()
    argv = [
        binary,
        f"-storageDataPath={directory / 'victoria'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-loggerLevel=WARN",
        *flags,
    ]
    with Server("victoria-metrics", argv, port, directory, ready="/health") as server:
        yield server


def backfill(directory: Path, openmetrics: str) -> None:
    """Put OpenMetrics text with timestamps where :func:`prometheus` of this directory will find it."""
    binary = require(*servers.PROMTOOL)
    file = directory / "backfill.om"
    file.write_text(openmetrics)
    servers.backfill(file, directory / "data", binary=binary)


@dataclass(frozen=True)
class Series:
    """Labels, ``__name__`` included, and samples as (Unix seconds, value) in the order of time."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]


def series(name: str, samples: Sequence[tuple[float, float]], **labels: str) -> Series:
    return Series({"__name__": name, **labels}, samples)


def remote_write(url: str, *written: Series) -> None:
    """Write samples by Prometheus' remote write protocol, NaN bit patterns as they are."""
    _post(
        url + "/api/v1/write",
        _snappy(b"".join(_field(1, _time_series(one)) for one in written)),
        {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        },
    )


def victoria_import(url: str, *written: Series) -> None:
    """Write samples by VictoriaMetrics' JSON import, and make them visible to queries at once."""
    lines = [
        json.dumps(
            {
                "metric": dict(one.labels),
                "values": [v for _, v in one.samples],
                "timestamps": [round(t * 1000) for t, _ in one.samples],
            }
        )
        for one in written
    ]
    _post(url + "/api/v1/import", "\n".join(lines).encode(), {})
    _post(url + "/internal/force_flush", b"", {})


def get_json(url: str) -> dict[str, object]:
    """Answer of an API as it is, to compare Tocsin's client with."""
    with _opener().open(url, timeout=10) as response:
        answer: dict[str, object] = json.load(response)
        return answer


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310  our own loopback address
    with _opener().open(request, timeout=10) as response:
        assert response.status < 300


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


# The few bytes of protobuf and snappy that a remote write needs.


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _time_series(one: Series) -> bytes:
    labels = [_field(1, _field(1, k.encode()) + _field(2, v.encode())) for k, v in sorted(one.labels.items())]
    samples = [_field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + _varint(round(t * 1000))) for t, v in one.samples]
    return b"".join(labels + samples)


def _snappy(data: bytes) -> bytes:
    """Snappy's block format with literals only, so nothing is compressed."""
    return _varint(len(data)) + b"".join(_literals(data))


def _literals(data: bytes) -> Iterable[bytes]:
    for i in range(0, len(data), 60):
        piece = data[i : i + 60]
        yield bytes([(len(piece) - 1) << 2]) + piece
