"""What may be done about alerts: what it means, and every fault with its exact place and message."""

import json
from pathlib import Path

import pytest

from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.operations import HttpParameters
from tocsin.config.references import alerts_of
from tocsin.config.remediation_checks import causes, parameters
from tocsin.guard.addresses import Allowed, Refused

SERVICE = """\
service: shop
signals: {load: {expr: up}, queue: {expr: up, alert: {critical: {tier: 4}, low: {tier: 1}}}}
alerts: [{name: ShopFull, expr: up > 1}]
resources: [{id: piano, capacity_minutes: 240}]
remediation:
  - """
GOOD = "{when: ShopFull, run: http, with: {url: http://ops/restart}}"


def config(folder: Path, remediation: str = GOOD, process: str = "") -> Config:
    (folder / "shop.yml").write_text(SERVICE + remediation + "\n")
    (folder / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n" + process)
    return load(folder / "tocsin.yml")


@pytest.mark.parametrize(
    ("remediation", "at", "message"),
    [
        (
            "{when: ShopFull, run: htp, with: {}}",
            "6:27: remediation[0].run",
            "found 'htp', expected an operation (http, postgres_pool_recycle)",
        ),
        ("{when: ShopFull, run: http}", "6:5: remediation[0].with.url", "found nothing, expected a value"),
        (
            "{when: ShopFull, run: http, with: {url: http://a/b, methd: PUT}}",
            "6:64: remediation[0].with.methd",
            "found the unknown key 'methd', expected 'method'",
        ),
        (
            "{when: ShopFull, run: http, with: {url: http://me:secret@a/b}}",
            "6:45: remediation[0].with.url",
            (
                "found no address that can be called, expected an address such as https://ops.example.com/path, "
                "without user, password and #"
            ),
        ),
        (
            "{when: ShopFull, run: http, with: {url: http://a/b}, verify: 'up{ < 1'}",
            "6:66: remediation[0].verify",
            "found no PromQL (unexpected character inside braces: '<'), expected an expression that gives a vector",
        ),
        (
            "{when: ShopFul, run: http, with: {url: http://a/b}}",
            "6:12: remediation[0].when",
            (
                "found 'ShopFul', expected an alert of the service (ShopFull, ShopLoadAction, ShopLoadCritical, "
                "ShopQueueCritical, ShopQueueLow)"
            ),
        ),
        (
            "{when: tier > 4, run: http, with: {url: http://a/b}}",
            "6:12: remediation[0].when",
            "found 'tier > 4', expected the name of an alert, or `tier >= 4` (1 to 4)",
        ),
        (
            "{when: ShopFull, signals: [load], run: http, with: {url: http://a/b}}",
            "6:31: remediation[0].signals",
            "found signals beside the name of an alert, expected them with a tier only",
        ),
        (
            "{when: tier >= 3, signals: [lod], run: http, with: {url: http://a/b}}",
            "6:33: remediation[0].signals[0]",
            "found 'lod', expected a signal of the service (load, queue)",
        ),
        (
            "{when: ShopFull, resource: organ, run: http, with: {url: http://a/b}}",
            "6:32: remediation[0].resource",
            "found 'organ', expected one of `resources` (piano)",
        ),
        (
            GOOD + "\n  - {when: ShopFull, run: http, with: {url: http://a/b}}",
            "7:27: remediation[1].run",
            "found http for ShopFull again, expected an operation once for an alert",
        ),
        (
            "{when: ShopFull, run: postgres_pool_recycle, with: {url: postgresql://a@db/b, idle_longer_than: 0s}}",
            "6:101: remediation[0].with.idle_longer_than",
            "found '0s', expected more than 0",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, remediation: str, at: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, remediation)
    found = [str(fault).removeprefix(f"{tmp_path}/shop.yml:") for fault in caught.value.faults]
    assert f"{at}: {message}" in found


@pytest.mark.parametrize(
    ("process", "at", "message"),
    [
        (
            "guard: {storm: {above: 10}}\n",
            "3:9: guard.storm.below",
            "found 25, expected at most `above` (10)",
        ),
        ("guard: {max_per_day: 0}\n", "3:22: guard.max_per_day", "found the number 0, expected at least 1"),
        ("guard: {cool_of: 1m}\n", "3:9: guard.cool_of", "found the unknown key 'cool_of', expected 'cool_down'"),
    ],
)
def test_a_fault_of_the_guard_is_named_with_its_place(tmp_path: Path, process: str, at: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, process=process)
    found = [str(fault).removeprefix(f"{tmp_path}/tocsin.yml:") for fault in caught.value.faults]
    assert found == [f"{at}: {message}"]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("when: ShopFull", {"ShopFull"}),
        ("when: tier >= 4", {"ShopLoadCritical", "ShopQueueCritical"}),
        ("when: tier >= 3", {"ShopLoadCritical", "ShopLoadAction", "ShopQueueCritical"}),
        ("when: tier >= 1, signals: [queue]", {"ShopQueueCritical", "ShopQueueLow"}),
    ],
)
def test_a_cause_is_the_alerts_that_it_names(tmp_path: Path, when: str, expected: set[str]) -> None:
    (shop,) = config(tmp_path, f"{{{when}, run: http, with: {{url: http://a/b}}}}").services
    assert causes(shop, shop.remediation[0], dict(alerts_of(shop))) == expected


def test_nothing_is_armed_unless_it_says_so_and_files_are_beside_the_configuration(tmp_path: Path) -> None:
    (shop,) = config(tmp_path, "{when: ShopFull, run: http, with: {url: http://a/b, token_file: t}}").services
    (one,) = shop.remediation
    assert one.dry_run
    found = parameters(one)
    assert isinstance(found, HttpParameters)
    assert (found.token_file, found.method, found.timeout) == (str(tmp_path / "t"), "POST", 10.0)


def test_values_of_headers_are_not_shown(tmp_path: Path) -> None:
    found = config(tmp_path, "{when: ShopFull, run: http, with: {url: http://a/b, headers: {X-Key: canary}}}")
    assert "canary" not in str(found.masked())
    assert found.masked()["services"][0]["remediation"][0]["with"]["headers"] == {"X-Key": "<secret>"}


@pytest.mark.parametrize(
    ("url", "hosts", "listed"),
    [
        ("http://ops/restart", [], False),
        ("http://ops/restart", ["ops"], True),
        ("http://ops/restart", ["ops:80"], True),
        ("http://ops/restart", ["ops:8080", "10.0.0.0/8"], False),
        ("https://ops/restart", ["ops:80"], False),
        ("http://10.1.2.3:99/restart", ["ops", "10.0.0.0/8"], True),
        ("http://11.1.2.3:99/restart", ["ops", "10.0.0.0/8"], False),
        ("http://[fd00::1]/restart", ["10.0.0.0/8", "[fd00::1]:80"], True),
    ],
)
def test_a_host_that_is_not_listed_is_said_before_it_is_needed(
    tmp_path: Path, url: str, hosts: list[str], listed: bool
) -> None:
    found = config(
        tmp_path, f"{{when: ShopFull, run: http, with: {{url: '{url}'}}}}", f"guard: {{hosts: {json.dumps(hosts)}}}\n"
    )
    said = (
        f"{tmp_path / 'shop.yml'}:6:45: remediation[0].with.url: found a host that is not listed, so that it is never "
        f"called; expected one of `guard.hosts` ({', '.join(hosts) or 'it has none'})"
    )
    assert [str(one) for one in found.warnings] == ([] if listed else [said])
    assert refused(hosts, url) is not listed


def refused(hosts: list[str], url: str) -> bool:
    """Whether the guard refuses the URL."""
    try:
        Allowed(hosts).url(url)
    except Refused:
        return True
    return False


def test_a_remediation_that_can_select_nothing_is_said(tmp_path: Path) -> None:
    said = (
        "remediation[0].when: found a remediation in a service without resources and signals: no resource can be "
        "selected, and nothing is ever done; expected some in `resources`"
    )
    whole = SERVICE + GOOD + "\n"
    alone = "".join(line for line in whole.splitlines(keepends=True) if not line.startswith("signals"))
    for text, expected in (
        (whole, False),
        (alone, False),
        (alone.replace("resources: [{id: piano, capacity_minutes: 240}]\n", ""), True),
    ):
        (tmp_path / "shop.yml").write_text(text)
        (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
        found = load(tmp_path / "tocsin.yml").warnings
        assert any(said in str(one) for one in found) is expected
