"""What one SLO's rules cost the Prometheus that evaluates them, ours beside those that Sloth makes.

Both are loaded into one Prometheus over the same history: 3 days of counters for the windows, and some days of what
each records itself. Sloth's rules are written here as its documentation shows them: eight ratios, of which the one of
the period averages the recorded five minutes, seven rules of metadata, and two alerts.
"""

import math
import re
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import Row

from tocsin.config.models import ProcessModel, Service
from tocsin.demo import servers
from tocsin.generate import render, rule, slo

DAY = 86400
EVERY = 30
#: Seconds between samples of the backfilled counters.
SCRAPE = 15
_SLOTH = {"sloth_id": "shop-api", "sloth_service": "shop", "sloth_slo": "api"}
_SELECTOR = "{" + ", ".join(f'{name}="{value}"' for name, value in _SLOTH.items()) + "}"


def ours() -> list[dict[str, Any]]:
    """The groups that are generated."""
    process = ProcessModel.model_validate(
        {"source": {"url": "http://x"}, "services": ["x"], "target": {"evaluation_interval": f"{EVERY}s"}}
    )
    sli = {"bad": 'requests_total{code="500"}', "total": "requests_total"}
    service = Service.model_validate({"service": "shop", "slos": {"api": {"objective": 0.999, "sli": sli}}})
    return list(slo.groups(service, process.target))


def sloths() -> list[dict[str, Any]]:
    """The groups that Sloth makes of the same SLO."""
    windows = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
    ratios = [
        rule.record(
            f"slo:sli_error:ratio_rate{window}",
            f'(sum(rate(requests_total{{code="500"}}[{window}])))\n/\n(sum(rate(requests_total[{window}])))',
            {**_SLOTH, "sloth_window": window},
        )
        for window in windows
    ]
    of_5m = f"slo:sli_error:ratio_rate5m{_SELECTOR}[30d]"
    period = f"sum_over_time({of_5m})\n/ ignoring (sloth_window)\ncount_over_time({of_5m})"
    ratios.append(rule.record("slo:sli_error:ratio_rate30d", period, {**_SLOTH, "sloth_window": "30d"}))
    budget = f"on(sloth_id, sloth_slo, sloth_service) group_left slo:error_budget:ratio{_SELECTOR}"
    meta = {
        "slo:objective:ratio": "vector(0.999)",
        "slo:error_budget:ratio": "vector(1-0.999)",
        "slo:time_period:days": "vector(30)",
        "slo:current_burn_rate:ratio": f"slo:sli_error:ratio_rate5m{_SELECTOR} / {budget}",
        "slo:period_burn_rate:ratio": f"slo:sli_error:ratio_rate30d{_SELECTOR} / {budget}",
        "slo:period_error_budget_remaining:ratio": f"1 - slo:period_burn_rate:ratio{_SELECTOR}",
        "sloth_slo_info": "vector(1)",
    }
    return [
        rule.group("sloth-slo-sli-recordings-shop-api", EVERY, ratios),
        rule.group("sloth-slo-meta-recordings-shop-api", EVERY, [rule.record(n, e, _SLOTH) for n, e in meta.items()]),
        rule.group("sloth-slo-alerts-shop-api", EVERY, [_sloths_alert("page"), _sloths_alert("ticket")]),
    ]


def _sloths_alert(kind: str) -> dict[str, Any]:
    factors = {"page": ((14.4, "5m", "1h"), (6, "30m", "6h")), "ticket": ((3, "2h", "1d"), (1, "6h", "3d"))}
    pairs = (
        f"(\n    max(slo:sli_error:ratio_rate{short}{_SELECTOR} > ({factor} * 0.001)) without (sloth_window)\n    and\n"
        f"    max(slo:sli_error:ratio_rate{long}{_SELECTOR} > ({factor} * 0.001)) without (sloth_window)\n)"
        for factor, short, long in factors[kind]
    )
    return rule.alert(f"Sloth{kind.title()}", "\nor\n".join(pairs), {"sloth_severity": kind}, {})


def history(file: Path, now: float, series: int, days: float) -> None:
    """OpenMetrics of the counters over 3 days, and of what both record over so many days."""
    begin = math.floor(now / SCRAPE) * SCRAPE - 3 * DAY
    with file.open("w") as out:
        out.write("# TYPE requests counter\n")
        for n in range(series):
            labels = f'instance="{n // 2}",code="{(200, 500)[n % 2]}"'
            rate = (100, 0)[n % 2]
            for i in range(3 * DAY // SCRAPE):
                out.write(f"requests_total{{{labels}}} {i * rate} {begin + i * SCRAPE}\n")
        recorded = {
            "slo:sli_error:ratio_rate5m" + _SELECTOR[:-1] + ', sloth_window="5m"}': 0,
            'tocsin_slo:error:ratio_rate5m{tocsin_service="shop", slo="api"}': 0,
            'tocsin_slo:events:increase5m{tocsin_service="shop", slo="api"}': 40000,
        }
        start = math.floor(now / EVERY) * EVERY - int(days * DAY)
        for series_, value in recorded.items():
            name = series_.replace(", ", ",")  # OpenMetrics allows no blank here
            out.write(f"# TYPE {name.partition('{')[0]} gauge\n")
            for t in range(start, int(now), EVERY):
                out.write(f"{name} {value} {t}\n")
        out.write("# EOF\n")


def _durations(url: str) -> dict[str, float]:
    """Seconds that the last evaluation of each group took."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310  loopback
        page = answer.read().decode()
    found = re.findall(
        r'^prometheus_rule_group_last_duration_seconds\{rule_group="[^"]*;([^"]+)"\} (\S+)$', page, re.MULTILINE
    )
    return {name: float(value) for name, value in found}


def benchmark(series: int, days: float, looks: int) -> Iterator[Row]:
    """Seconds of evaluation per hour, rules and series."""
    mine, theirs = ours(), sloths()
    with tempfile.TemporaryDirectory() as folder:
        directory, now = Path(folder), time.time()
        history(directory / "history.om", now, series, days)
        servers.backfill(directory / "history.om", directory / "data")
        (directory / "rules.yml").write_text(render.to_yaml({"groups": [*mine, *theirs]}))
        (directory / "prometheus.yml").write_text(
            f"global: {{evaluation_interval: {EVERY}s}}\nrule_files: [rules.yml]\nscrape_configs: []\n"
        )
        intervals = {group["name"]: group["interval"] for group in (*mine, *theirs)}
        seen: dict[str, list[float]] = {name: [] for name in intervals}
        with servers.prometheus(directory, directory / "prometheus.yml") as server:
            time.sleep(slo.BUDGET_INTERVAL + EVERY)
            for _ in range(looks):
                for name, seconds in _durations(server.url).items():
                    seen[name].append(seconds)
                time.sleep(EVERY)
    per_hour = {
        name: statistics.median(values) * 3600 / (slo.BUDGET_INTERVAL if intervals[name] == "2m" else EVERY)
        for name, values in seen.items()
    }
    own, other = (sum(per_hour[group["name"]] for group in groups) for groups in (mine, theirs))
    what = f"evaluating the rules of one SLO over {series} series and {days:g} days, per hour"
    yield Row(what, own, peer="Sloth's rules", peer_cost=other, at_least=1)
    count = [sum(len(group["rules"]) for group in groups) for groups in (mine, theirs)]
    yield Row("rules of one SLO", count[0], "1", "Sloth's rules", count[1], at_least=1)
