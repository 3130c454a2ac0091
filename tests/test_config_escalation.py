"""Escalation in service files: one bad file per rule, what is told by which alert, and what it does to relearning."""

from pathlib import Path

import pytest
import yaml

from generated import service
from tocsin.config import escalation_checks
from tocsin.config.escalation import Times, When, parse_share, parse_times, parse_when
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.config.models import Target
from tocsin.specs import specs_of

TESTDATA = Path(__file__).parent / "testdata" / "config" / "escalation"
RECEIVERS = {name: {"webhook": {"url_file": name}} for name in ("oncall", "lead", "director", "vp")}

#: bad-NAME.yml: (line:column, path, message).
FAULTS = {
    "default-receiver": (
        "2:19",
        "default_receiver",
        "found 'ceo', expected a receiver of the process file (director, lead, oncall, vp)",
    ),
    "if-beside": ("8:36", "escalation.critical.steps[1].if", "found if beside after, expected it in a step of its own"),
    "if-severity": (
        "8:24",
        "escalation.critical.steps[1].if",
        (
            "found a share of resources with `when: severity`, expected `when: tier >= N`: only tiers say how many "
            "resources there are"
        ),
    ),
    "long": ("8:27", "escalation.critical.steps[1].after", "found 1d1h, expected at most 1d"),
    "no-condition": (
        "8:9",
        "escalation.critical.steps[1]",
        "found no condition, expected after, or, or if: without one only the first step is told",
    ),
    "order": (
        "10:25",
        "escalation.critical.steps[3].after",
        "found 30m, expected more than the 30m of an earlier step",
    ),
    "receiver": (
        "8:14",
        "escalation.critical.steps[1].to",
        "found 'ceo', expected a receiver of the process file (director, lead, oncall, vp)",
    ),
    "relearn-never": (
        "9:27",
        "escalation.critical.steps[1].after",
        (
            "found 3h, expected less for the signal 'load', which learns a new level after "
            "2016 steps at most (2h48m): the new level would be normal before the last step is told; "
            "a longer step of the signal helps"
        ),
    ),
    "relearn": (
        "3:35",
        "signals.load.relearn_after",
        (
            "found 31 steps (31m), expected more than the escalation 'critical' takes (31m): "
            "the new level would be normal before the last step is told"
        ),
    ),
    "severity": (
        "6:11",
        "escalation.critical.when",
        "found '4', expected a severity that an alert of the service has (P0, P1)",
    ),
    "share": (
        "8:24",
        "escalation.critical.steps[1].if",
        "found 'over 100% of resources', expected a share between 0% and 100%, such as `over 50% of resources`",
    ),
    "short": (
        "8:27",
        "escalation.critical.steps[1].after",
        "found 29s, expected at least two scrapes and two evaluations of Prometheus (30s)",
    ),
    "signal-silent": (
        "6:15",
        "escalation.critical.signals[0]",
        "found 'load', which has no alert on tier 3 or lower, expected one that has",
    ),
    "signal-twice": ("6:21", "escalation.critical.signals[1]", "found 'load' again, expected each signal once"),
    "signal": ("6:21", "escalation.critical.signals[1]", "found 'lag', expected a signal of this service (load)"),
    "signals-severity": (
        "6:14",
        "escalation.critical.signals",
        "found signals with `when: severity`, which is about all alerts, expected them with `tier` only",
    ),
    "silent": (
        "5:11",
        "escalation.critical.when",
        "found `tier >= 4`, expected an alert on tier 4 or lower: nothing tells the first step",
    ),
    "times-long": ("8:24", "escalation.critical.steps[1].or", "found '3 times in 2d', expected at most 1d"),
    "times-many": (
        "8:24",
        "escalation.critical.steps[1].or",
        "found '31 times in 2h', expected at most 30 times: Prometheus cannot see more",
    ),
    "times-one": (
        "8:24",
        "escalation.critical.steps[1].or",
        "found '1 times in 2h', expected a number from 2 on and a duration, such as `3 times in 2h`",
    ),
    "when": ("5:11", "escalation.critical.when", "found 'tier > 4', expected `tier >= 4` (1 to 4) or `severity = P0`"),
}


def load_with(folder: Path, file: Path) -> Config:
    process = folder / "tocsin.yml"
    whole = {"source": {"url": "http://127.0.0.1:9090"}, "services": [str(file)], "receivers": RECEIVERS}
    process.write_text(yaml.safe_dump(whole))
    return load(process)


@pytest.mark.parametrize("name", FAULTS)
def test_bad_escalation_is_refused_with_its_exact_fault(name: str, tmp_path: Path) -> None:
    path = TESTDATA / f"bad-{name}.yml"
    with pytest.raises(ConfigError) as caught:
        load_with(tmp_path, path)
    place, where, message = FAULTS[name]
    assert str(caught.value) == f"{path}:{place}: {where}: {message}"


def test_every_bad_escalation_has_its_fault_in_the_table() -> None:
    assert {path.stem.removeprefix("bad-") for path in TESTDATA.glob("bad-*.yml")} == {*FAULTS, "name"}


def test_two_levels_of_one_policy_for_one_receiver_need_a_name(tmp_path: Path) -> None:
    path = TESTDATA / "bad-name.yml"
    with pytest.raises(ConfigError) as caught:
        load_with(tmp_path, path)
    assert str(caught.value) == (
        f"{path}:9:9: escalation.critical.steps[2].name: found the alert 'ShopEscalationCriticalLead' again, expected "
        f"a name of its own ({path}:8:9 has it already)"
    )
    named = tmp_path / "shop.yml"
    named.write_text(path.read_text().replace("after: 1h", "after: 1h, name: ShopLeadAgain"))
    load_with(tmp_path, named)


def test_receivers_are_not_asked_for_while_the_process_file_does_not_say_them(tmp_path: Path) -> None:
    path, process = TESTDATA / "bad-receiver.yml", tmp_path / "tocsin.yml"
    process.write_text(f"receivers: oncall\nsource: {{url: http://127.0.0.1:9090}}\nservices: ['{path}']\n")
    with pytest.raises(ConfigError) as caught:
        load(process)
    assert str(caught.value) == f"{process}:1:12: receivers: found 'oncall', expected a mapping"


def test_conditions_are_read_as_they_are_written() -> None:
    assert parse_when("tier >= 4") == When(tier=4)
    assert parse_when("severity = P0") == When(severity="P0")
    assert parse_times("3 times in 2h") == Times(3, 7200)
    assert parse_share("over 50% of resources") == 0.5


STEPS = [{"to": "oncall"}, {"to": "lead", "after": "30m"}]


def test_the_first_level_is_the_alert_on_the_highest_tier_that_is_not_above() -> None:
    def first(tier: int, **alerts: int) -> dict[str, list[str]]:
        alert = {name: {"tier": of} for name, of in alerts.items()}
        shop = service(
            signals={"load": {"alert": alert}, "quiet": {"alert": {}}},
            escalation={"policy": {"when": f"tier >= {tier}", "steps": STEPS}},
        )
        return escalation_checks.first_alerts(shop, shop.escalation["policy"])

    assert first(4, critical=4, action=3) == {"load": ["critical"]}
    assert first(3, critical=4, action=3, watch=2) == {"load": ["action"]}
    assert first(4, action=3, slow=3, watch=2) == {"load": ["action", "slow"]}
    assert first(2, critical=4) == {}


def test_a_severity_is_that_of_any_kind_of_alert() -> None:
    kinds = {
        "thresholds": {
            "cpu": {"expr": "up", "warning": 0.8},
            "disk": {"expr": "up", "critical": 1, "severity": "fire"},
        },
        "absent": [{"name": "Gone", "expr": "up", "level": "page"}],
        "slos": {"api": {"objective": "99%", "sli": {"probe": "probe_success"}, "alert": {"page": False}}},
        "signals": {"load": {"alert": {"watch": {"tier": 2}, "own": {"tier": 4, "severity": "high"}}}},
    }
    assert escalation_checks.severities(service(**kinds, severity="page-ticket")) == ["fire", "high", "page", "ticket"]


def test_the_responder_escalates_without_rules() -> None:
    policy = {"via": "responder", "when": "tier >= 4", "steps": STEPS}
    assert escalation_checks.levels(service(escalation={"policy": policy}), "policy") == []


@pytest.mark.parametrize(("after", "every"), [("30m", 60), ("15m", 30), ("1m", 15), ("1d", 2880)])
def test_what_lasts_is_looked_at_thirty_times(after: str, every: int) -> None:
    seconds = {"30m": 1800, "15m": 900, "1m": 60, "1d": 86400}[after]
    assert escalation_checks.looks_every(seconds, Target()) == every


@pytest.mark.parametrize(("within", "every"), [(7200, 60), (86400, 60), (3600, 30), (600, 15)])
def test_what_comes_back_is_looked_at_every_minute_or_more_often(within: int, every: int) -> None:
    assert escalation_checks.counts_every(within, Target()) == every


@pytest.mark.parametrize(("after", "steps"), [("10m", 60), ("30m", 70), ("1h", 130), ("16h", 1930), ("16h43m", 2016)])
def test_a_new_level_is_learnt_long_after_the_last_step_is_told(tmp_path: Path, after: str, steps: int) -> None:
    path = tmp_path / "shop.yml"
    policy = {"when": "tier >= 4", "steps": [{"to": "oncall"}, {"to": "lead", "after": after}]}
    path.write_text(
        yaml.safe_dump({"service": "shop", "signals": {"load": {"expr": "up"}}, "escalation": {"critical": policy}})
    )
    assert specs_of(load_with(tmp_path, path))[0].settings.relearn_after == steps
