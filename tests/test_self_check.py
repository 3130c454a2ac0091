"""What Tocsin says of itself on its own page."""

import resource
import time
from pathlib import Path

from tocsin.cli.running import Running
from tocsin.config.load import load


def spent() -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), usage.ru_utime + usage.ru_stime


def test_the_cpu_ratio_is_what_was_spent_between_two_scrapes(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text("{service: shop, signals: {load: {expr: load_ratio}}}\n")
    path = tmp_path / "tocsin.yml"
    path.write_text("{source: {url: 'http://127.0.0.1:1'}, services: [shop.yml]}\n")
    running = Running(path, load(path))
    program = running.program()
    early = spent()
    # Long ago: a page that did not begin to count anew would spread what was spent over all that time.
    running._cpu = (early[0] - 1000, early[1])
    list(program.page(False))
    first = spent()
    while spent()[1] < first[1] + 0.05:
        sum(range(1000))
    busy = spent()
    list(program.page(False))
    late = spent()
    ratio = running.telemetry.value("self_cpu_ratio")
    assert (busy[1] - first[1]) / (late[0] - early[0]) <= ratio <= (late[1] - early[1]) / (busy[0] - first[0])
