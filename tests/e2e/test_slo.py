"""An SLO from its counters to the page: recorded, alerted and republished, with a real Prometheus in the middle."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from running import Tocsin, command, get, until, watched

from tocsin.config.load import load
from tocsin.demo.servers import free_port
from tocsin.generate import prometheus as snippet
from tocsin.generate import render, rules
from tools.servers import prometheus

pytestmark = pytest.mark.e2e

SERVICE = """
service: shop
team: web
severity: page-ticket
slos:
  api:
    objective: 99.9%
    description: Requests are answered.
    sli: {bad: 'load_ratio{resource="bad"}', total: load_ratio}
    alert: {page: ApiErrorBudgetBurn}
  quiet: {objective: 99%, sli: {bad: 'load_ratio{resource="bad"}', total: 'load_ratio{resource="never"}'}}
"""


class Traffic(Mapping[str, float]):
    """Counters that rise by so many per second since the last change of rates."""

    def __init__(self, **rates: float) -> None:
        self._values, self._rates, self._since = dict.fromkeys(rates, 0.0), rates, time.monotonic()

    def __getitem__(self, name: str) -> float:
        return self._values[name] + self._rates[name] * (time.monotonic() - self._since)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def flows(self, **rates: float) -> None:
        """From now on at these rates."""
        self._values, self._since = dict(self.items()), time.monotonic()
        self._rates = rates


def configured(folder: Path, url: str) -> Path:
    (folder / "shop.yml").write_text(SERVICE)
    path = folder / "tocsin.yml"
    path.write_text(
        f"source: {{url: '{url}'}}\nservices: [shop.yml]\ntarget: {{scrape_interval: 1s, evaluation_interval: 1s}}\n"
    )
    return path


def generated(folder: Path) -> str:
    """Write the rules, with a budget that is evaluated as often as the rest; the part of prometheus.yml for them."""
    config = load(configured(folder, "http://127.0.0.1:1"))
    data = rules.files(config.process, config.services)
    for name, one in data.items():
        for group in one.get("groups", ()):
            group["interval"] = "1s"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(render.to_yaml(one))
    return str(folder / "rules")


def alerts(url: str) -> list[str]:
    """Names and labels of what fires in this Prometheus."""
    query = urlencode({"query": 'ALERTS{alertstate="firing", tocsin_service="shop", alertname!~"Tocsin.*"}'})
    answer = json.loads(get(f"{url}/api/v1/query?{query}")[1])
    return sorted(json.dumps(one["metric"], sort_keys=True) for one in answer["data"]["result"])


def quiet(tocsin: Tocsin) -> Any:
    """What the running Tocsin says of the SLO without an event."""
    return json.loads(get(f"{tocsin.url}/api/v1/explain?slo=quiet")[1])[0]


@pytest.mark.parametrize("loaded", [True, False], ids=["recorded", "without rules"])
def test_a_burning_budget_reaches_the_alert_the_page_and_the_explanation(tmp_path: Path, loaded: bool) -> None:
    traffic, port = Traffic(good=1000.0, bad=0.0), free_port()
    with watched(traffic) as metrics:
        (tmp_path / "prometheus").mkdir()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}],
        }
        if loaded:
            folder = generated(tmp_path)
            model = load(tmp_path / "tocsin.yml").process
            ours = snippet.config(model, f"127.0.0.1:{port}", folder)
            config["rule_files"] = ours["rule_files"]
        else:
            traffic.flows(good=1000.0, bad=1000.0)
        with prometheus(tmp_path / "prometheus", yaml.safe_dump(config)) as server:
            if not loaded:
                query = urlencode({"query": "sum(increase(load_ratio[5m])) > 1000"})
                found = f"{server.url}/api/v1/query?{query}"
                until(lambda: json.loads(get(found)[1])["data"]["result"] or None, "there is traffic")
            with Tocsin(configured(tmp_path, server.url), port=port) as tocsin:
                burn = {"slo": "api", "window": "1h"}
                if loaded:
                    until(lambda: tocsin.sample("tocsin_slo_burn_rate", **burn) == 0.0, "nothing burns")
                    assert alerts(server.url) == []
                    left = "tocsin_slo_error_budget_remaining_ratio"
                    until(lambda: tocsin.sample(left, slo="api") == 1.0, "the whole budget is left")
                    assert tocsin.sample("tocsin_slo_error_budget_exhaustion_timestamp_seconds", slo="api") is None
                    traffic.flows(good=0.0, bad=1000.0)
                    [page] = until(lambda: [a for a in alerts(server.url) if '"page"' in a] or None, "it pages")
                    assert json.loads(page) == {
                        "__name__": "ALERTS",
                        "alertname": "ApiErrorBudgetBurn",
                        "alertstate": "firing",
                        "page": "true",
                        "severity": "page",
                        "slo": "api",
                        "team": "web",
                        "tocsin_service": "shop",
                    }
                until(lambda: (tocsin.sample("tocsin_slo_burn_rate", **burn) or 0) > 14.4, "the page says so")
                assert tocsin.sample("tocsin_slo_objective_ratio", slo="api") == 0.999
                until(lambda: tocsin.sample("tocsin_slo_error_ratio_upper", slo="api"), "with its interval")
                _, out, _ = command("explain", "slo", "api", "--url", tocsin.url)
                until(lambda: "absent" in quiet(tocsin)["reasons"], "nothing is known of what is never counted")
                assert quiet(tocsin)["origin"] == ("recorded" if loaded else "direct")
                _, unknown, _ = command("explain", "slo", "quiet", "--url", tocsin.url)
                assert get(tocsin.url + "/-/reload", "POST")[0] == 200
                assert tocsin.sample("tocsin_slo_burn_rate", **burn) is not None
    assert "Requests are answered." in out
    assert ("ApiErrorBudgetBurn (page) fires" in out) or not loaded
    assert ("recording rules are not loaded" in out) != loaded
    assert unknown.startswith("quiet (shop): unknown at ")
    assert "What its SLI asks for has no result now" in unknown
    assert ("recording rules are not loaded" in unknown) != loaded
