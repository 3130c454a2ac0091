"""Rules of many services from one process, beside Sloth's way of one process per specification."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import Row

#: Wall seconds and bytes for 10,000 services.
LONGEST, MOST = 180.0, 1e9
_PROCESS = "source: {url: http://127.0.0.1:9090}\nservices: [services/*.yml]\n"
_SERVICE = """\
service: shop-{n}
team: shops
links: {{runbook: "https://wiki.example.com/{{alert}}"}}
slos:
  requests:
    objective: 99.9%
    sli: {{bad: 'http_requests_total{{job="shop-{n}",code=~"5.."}}', total: 'http_requests_total{{job="shop-{n}"}}'}}
    alert: {{page: Shop{n}Burns, ticket: Shop{n}BurnsSlowly}}
"""
_SLOTH = """\
version: "prometheus/v1"
service: shop-{n}
labels: {{team: shops}}
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(http_requests_total{{job="shop-{n}",code=~"5.."}}[{{{{.window}}}}]))
        total_query: sum(rate(http_requests_total{{job="shop-{n}"}}[{{{{.window}}}}]))
    alerting:
      name: Shop{n}Burns
      annotations: {{runbook_url: "https://wiki.example.com/Shop{n}Burns"}}
      page_alert: {{labels: {{severity: page}}}}
      ticket_alert: {{labels: {{severity: ticket}}}}
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Of a process until its end: seconds of CPU and of the clock, and the most memory in bytes."""

    cpu: float
    wall: float
    memory: float


def spent(command: Sequence[str]) -> Spent:
    """Run a program, which must succeed, and say what it took."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    # Popen must not wait for a process that is gone.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(usage.ru_utime + usage.ru_stime, wall, float(usage.ru_maxrss * unit))


def ours(folder: Path, services: int) -> tuple[Spent, int]:
    """What `tocsin generate rules` takes for so many services, and how many files it writes."""
    (folder / "services").mkdir()
    (folder / "tocsin.yml").write_text(_PROCESS)
    for n in range(services):
        (folder / "services" / f"shop-{n}.yml").write_text(_SERVICE.format(n=n))
    arguments = ["generate", "rules", "--config.file", str(folder / "tocsin.yml"), "--out", str(folder / "out")]
    taken = spent([sys.executable, "-m", "tocsin", *arguments])
    return taken, sum(1 for _ in (folder / "out").rglob("*.yml"))


def peer(sloth: str, folder: Path, specs: int) -> Spent:
    """What Sloth takes for one specification, mean over some."""
    found = []
    for n in range(specs):
        spec = folder / f"shop-{n}.yml"
        spec.write_text(_SLOTH.format(n=n))
        found.append(spent([sloth, "generate", "--input", str(spec), "--out", str(folder / f"rules-{n}.yml")]))
    mean = [sum(values) / specs for values in ((one.cpu for one in found), (one.wall for one in found))]
    return Spent(*mean, max(one.memory for one in found))


def benchmark(services: int, specs: int) -> Iterator[Row]:
    """Rows for so many services; so many of Sloth's processes stand for all, where it is on PATH."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        taken, files = ours(Path(folder), services)
    sloth, name, cpu, wall = shutil.which("sloth"), "", None, None
    if sloth is not None:
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            each = peer(sloth, Path(folder), specs)
        name, cpu, wall = (
            f"Sloth, a process per specification, {specs} of them",
            services * each.cpu,
            services * each.wall,
        )
    what = f"generating {services:,} services, an SLO each, {files:,} files"
    yield Row(f"{what}: CPU", taken.cpu, peer=name, peer_cost=cpu)
    yield Row(f"{what}: wall", taken.wall, peer=name, peer_cost=wall, at_most=LONGEST)
    yield Row(f"{what}: peak memory", taken.memory, "B", at_most=MOST)
