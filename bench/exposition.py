"""A page of gauges against prometheus_client: labels().set() for each of them and generate_latest()."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from harness import Row, cpu, isolated, middle
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from warm import Warm

from tocsin import names
from tocsin.core.snapshot import SignalView, Snapshot
from tocsin.metrics import Exposition, rows

AIM = 100.0


class Peer:
    """The same gauges as objects of prometheus_client. Values that become absent stay, which costs it nothing."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def page(self, view: SignalView) -> bytes:
        """Set every gauge of every resource, then render."""
        base = [
            (view.service, view.signal, one.resource, *(value for _, value in one.labels)) if one else ()
            for one in view.resources
        ]
        for short, own, values in rows(view, "essential"):
            gauge = self._gauge(short, view)
            present = np.flatnonzero(view.live & ~np.isnan(values)).tolist()
            for i, value in zip(present, values[present].tolist(), strict=True):
                gauge.labels(*base[i], *own).set(value)
        return generate_latest(self._registry)

    def _gauge(self, short: str, view: SignalView) -> Gauge:
        if short not in self._gauges:
            family = names.FAMILIES[short]
            identity = next(one for one in view.resources if one is not None)
            labels = (*names.BASE_LABELS, *(name for name, _ in identity.labels), *family.labels)
            self._gauges[short] = Gauge(family.name, family.help, labels, registry=self._registry)
        return self._gauges[short]


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds of the first page and of later ones (median), ours and the peer's; lines per resource."""

    first: float
    later: float
    peer_first: float
    peer_later: float
    lines: float


def measure(count: int, pages: int, peer_pages: int) -> Measured:
    """Render the same views both ways; every view has new values."""
    warm = Warm(count, window=60)
    views = [warm.next() for _ in range(pages)]
    ours, peer = Exposition(CollectorRegistry(), "essential"), Peer()
    taken, theirs = [], []
    for i, (at, view) in enumerate(views):
        # Chunk by chunk, as the endpoint sends it; the peer in between, so that both see the same machine.
        taken.append(cpu(lambda v=view, at=at: deque(ours.page(Snapshot(at, (v,))), maxlen=0)))  # type: ignore[misc]  # bound now
        if i % (pages // peer_pages) == 0 and len(theirs) < peer_pages:
            theirs.append(cpu(lambda v=view: peer.page(v)))  # type: ignore[misc]  # bound now
    lines = sum(int(np.count_nonzero(~np.isnan(values))) for _, _, values in rows(views[-1][1], "essential"))
    return Measured(taken[0], middle(taken[1:]), theirs[0], middle(theirs[1:]), lines / count)


def benchmark(count: int, pages: int, peer_pages: int) -> Iterator[Row]:
    """Pages of `count` resources, after the first and the first."""
    got = isolated(measure, count, pages, peer_pages)
    peer = f"prometheus_client {version('prometheus_client')}"
    what = f"{count:,} resources x {got.lines:.1f} gauges"
    yield Row(f"page of {what}, new values", got.later, "s", peer, got.peer_later, at_least=AIM)
    yield Row(f"first page of {what}", got.first, "s", peer, got.peer_first)
