"""Alerts on values in a real Prometheus: they stand on what it scrapes, with no Tocsin anywhere."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from running import until, watched

from generated import process, service, write
from tocsin.generate import rules
from tools.servers import get_json, prometheus

pytestmark = pytest.mark.e2e

TARGET = {"scrape_interval": "1s", "evaluation_interval": "1s"}
IDENTITY = {
    "alertname": "ShopFull",
    "severity": "4",
    "team": "keys",
    "dimension": "capacity",
    "tocsin_service": "shop",
    "signal": "full",
}


def alerts(url: str) -> list[dict[str, Any]]:
    answer: Any = get_json(f"{url}/api/v1/alerts")
    found: list[dict[str, Any]] = [one for one in answer["data"]["alerts"] if "tocsin_service" in one["labels"]]
    return found


def firing(url: str) -> list[dict[str, str]]:
    return [one["labels"] for one in alerts(url) if one["state"] == "firing"]


def test_a_threshold_on_a_scraped_gauge_fires_and_resolves_without_scrape_labels(tmp_path: Path) -> None:
    full = {
        "expr": "load_ratio",
        "by": ["resource"],
        "unit": "ratio",
        "critical": 0.8,
        "for": "2s",
        "dimension": "capacity",
    }
    gone = {"name": "Gone", "expr": 'load_ratio{resource="piano"}', "for": "2s"}
    shop = service(signals={}, team="keys", thresholds={"full": full}, absent=[gone])
    write(tmp_path, rules.files(process(target=TARGET), [shop]))
    values = {"piano": 0.8, "organ": 0.1}
    with watched(values) as port:
        scrape = {
            "job_name": "shop",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"replica": "a", "rack": "r1"}}],
        }
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(tmp_path / "rules" / "shop.yml")],
            "scrape_configs": [scrape],
        }
        with prometheus(tmp_path, yaml.safe_dump(config)) as server:

            def healthy() -> bool:
                answer: Any = get_json(f"{server.url}/api/v1/rules")
                found = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
                return {rule["name"]: rule["health"] for rule in found} == {"ShopFull": "ok", "Gone": "ok"}

            until(healthy, "every rule was evaluated")
            until(lambda: get_json(f"{server.url}/api/v1/query?query=load_ratio")["data"]["result"], "it was scraped")
            # The bound itself is allowed; what was pending before the first scrape is over.
            until(lambda: not alerts(server.url), "nothing is pending")
            values["piano"] = 0.92
            until(lambda: firing(server.url) == [{**IDENTITY, "resource": "piano"}], "the piano's alert alone fires")
            (one,) = alerts(server.url)
            assert one["annotations"] == {
                "summary": "full of piano (shop) is above 80%: 92%",
                "description": "The value is 92%; it has been above 80% for at least 2s.",
                "value": "0.92",
                "threshold": "0.8",
            }
            values["piano"] = 0.8
            until(lambda: not alerts(server.url), "it resolved at the bound")
            del values["piano"]
            absent = {"alertname": "Gone", "severity": "2", "team": "keys", "tocsin_service": "shop"}
            until(lambda: firing(server.url) == [absent], "absence fires")
            values["piano"] = 0.5
            until(lambda: not alerts(server.url), "and resolves")
