"""`tocsin generate alertmanager` and `tocsin check routes`, and what `check config` says of receivers."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from alertmanagers import version
from examples import EXAMPLE, ROOT
from tocsin.cli import main
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tools.servers import require

TEAMS = (
    "receivers.amas-oncall.teams: Alertmanager 0.25 is what files are made for, and below 0.28 it cannot read the URL "
    "of a channel from a file, and none below 0.26 knows Teams: it goes to Tocsin's webhook, whose responder has to "
    "send it"
)
SLACK = {"slack": {"api_url_file": "/etc/tocsin/slack"}}
SERVICE = {"service": "shop", "default_receiver": "ops", "signals": {"load": {"expr": "up"}}}


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments, prog_name="tocsin")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def files(folder: Path, service: dict[str, Any] | None = None, **process: Any) -> Path:
    (folder / "shop.yml").write_text(yaml.safe_dump({**SERVICE, **(service or {})}))
    given = {"receivers": {"ops": SLACK}, "default_receiver": "ops", **process}
    path = folder / "tocsin.yml"
    path.write_text(yaml.safe_dump({"source": {"url": "http://127.0.0.1:9090"}, "services": ["shop.yml"], **given}))
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def test_the_committed_files_are_what_the_examples_say() -> None:
    result = run("generate", "alertmanager", "--config.file", str(EXAMPLE), "--out", str(ROOT), "--check")
    assert (result.exit_code, result.stdout) == (0, "SUCCESS: 3 files are what the configuration says\n")
    assert result.stderr == f"warning: {TEAMS}\n"
    assert (ROOT / "alertmanager" / "alertmanager.yml").read_text().splitlines()[2] == f"# {TEAMS}"


def test_every_label_set_of_the_examples_reaches_whom_it_should_by_amtool_too() -> None:
    require("amtool")
    result = run("check", "routes", "--config.file", str(EXAMPLE))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith(" label sets reach whom they should; amtool agrees\n")
    table = yaml.safe_load((ROOT / "alertmanager" / "tests" / "routes.yml").read_text())["tests"]
    assert result.stdout.count("\n    -> ") == len(table)


def test_a_file_of_somebody_is_asked_and_what_it_does_otherwise_fails(tmp_path: Path) -> None:
    require("amtool")
    path = files(tmp_path)
    run("generate", "alertmanager", "--config.file", str(path), "--out", str(tmp_path))
    own = tmp_path / "alertmanager" / "alertmanager.yml"
    arguments = ["check", "routes", "--config.file", str(path), "--alertmanager.config", str(own)]
    assert run(*arguments).exit_code == 0
    own.write_text(own.read_text().replace("receiver: tocsin-ops", "receiver: tocsin-nobody"))
    result = run(*arguments, "-o", "json")
    assert result.exit_code == 1
    labels = 'alertname="ShopLoadCritical", severity="4", tocsin_service="shop"'
    assert json.loads(result.stdout)["faults"][0] == f"amtool sends {labels} to tocsin-nobody, expected tocsin-ops"


def test_a_file_that_amtool_refuses_is_one_fault(tmp_path: Path) -> None:
    require("amtool")
    path, own = files(tmp_path), tmp_path / "own.yml"
    own.write_text("route: {receiver: nobody-is-called-so}\nreceivers: [{name: a}]\n")
    result = run("check", "routes", "--config.file", str(path), "--alertmanager.config", str(own), "-o", "json")
    assert result.exit_code == 1
    (fault,) = json.loads(result.stdout)["faults"]
    assert fault.startswith(f"amtool refuses {own}: ")
    assert "nobody-is-called-so" in fault


def test_an_amtool_that_is_too_old_for_the_file_is_left_out_and_that_is_said_once(tmp_path: Path) -> None:
    teams = {"ops": {"teams": {"webhook_url_file": "/etc/tocsin/teams"}}}
    path = files(tmp_path, receivers=teams, target={"alertmanager": "0.28"}, alertmanager={"not_ours": "ops"})
    found = version()
    result = run("check", "routes", "--config.file", str(path))
    assert result.exit_code == 0
    if found >= (0, 28):
        assert (result.stdout.splitlines()[-1].rpartition("; ")[2], result.stderr) == ("amtool agrees", "")
        return
    why = f"amtool {found[0]}.{found[1]} is older than target.alertmanager 0.28 and cannot load the file"
    assert result.stdout.endswith(f"; {why}: only Tocsin's own checks were made\n")
    assert result.stderr == f"WARNING: {why}\n"


def test_a_page_that_reaches_nobody_fails(tmp_path: Path) -> None:
    load = {"expr": "up", "alert": {"critical": {"tier": 4, "page": True}}}
    path = files(tmp_path, {"signals": {"load": load}, "default_receiver": None}, default_receiver=None)
    service = yaml.safe_load((tmp_path / "shop.yml").read_text())
    del service["default_receiver"]
    (tmp_path / "shop.yml").write_text(yaml.safe_dump(service))
    process = yaml.safe_load(path.read_text())
    del process["default_receiver"]
    path.write_text(yaml.safe_dump(process))
    result = run("check", "routes", "--config.file", str(path))
    assert result.exit_code == 1
    assert "FAILED: nobody is told of shop: ShopLoadCritical (severity=4), which pages\n" in result.stderr
    assert result.stderr.count("ShopLoadCritical") == 1
    assert "SUCCESS" not in result.stdout


def test_warnings_are_an_exit_status_only_when_that_is_asked_for(tmp_path: Path) -> None:
    path = files(tmp_path)
    assert run("check", "routes", "--config.file", str(path)).exit_code == 0
    result = run("check", "routes", "--config.file", str(path), "--strict")
    assert result.exit_code == 3
    assert result.stderr == (
        "WARNING: alertmanager.not_ours is not given: alerts that are not Tocsin's are told to nobody\n"
    )


def test_a_fragment_is_printed_and_nothing_is_written(tmp_path: Path) -> None:
    path = files(tmp_path)
    before = sorted(tmp_path.iterdir())
    result = run("generate", "alertmanager", "--config.file", str(path), "--fragment")
    assert result.exit_code == 0
    assert list(yaml.safe_load(result.stdout)) == ["templates", "route", "receivers", "inhibit_rules"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_fragment_has_no_folder_and_is_not_compared(tmp_path: Path) -> None:
    path = str(files(tmp_path))
    for more in ([], ["--fragment", "--out", str(tmp_path)], ["--fragment", "--check"]):
        assert run("generate", "alertmanager", "--config.file", path, *more).exit_code == 2


def test_what_alertmanager_cannot_do_writes_nothing(tmp_path: Path) -> None:
    path = files(tmp_path, receivers={"ops": {"webhook": {"url_file": "u"}}})
    result = run("generate", "alertmanager", "--config.file", str(path), "--out", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == (
        "FAILED: Alertmanager cannot have this:\n"
        "receivers.ops.webhook: found url_file, which Alertmanager 0.25 cannot read, "
        'expected `url` with what is secret in bearer_file, or `target.alertmanager: "0.28"` or newer\n'
    )
    assert not (tmp_path / "alertmanager").exists()


CHANNELS = "pagerduty, phone, sms, slack, teams, email, jira, webhook"


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (
            {"receivers": {"ops": {}}},
            f"receivers.ops: found nobody to tell, expected at least one of {CHANNELS}",
        ),
        (
            {"receivers": {"ops": {"webhook": {}}}},
            "receivers.ops.webhook: found neither, expected exactly one of url and url_file",
        ),
        (
            {"receivers": {"ops": {"sms": {"webhook": {"url": "x"}}}}},
            "receivers.ops.sms.webhook.url: found 'x', expected a URL such as https://example.com/hook",
        ),
        (
            {"receivers": {"ops": {"webhook": {"url": "http://a:b@example.com/"}}}},
            "receivers.ops.webhook.url: found credentials in the URL, expected them in a file",
        ),
        (
            {"receivers": {"ops": {"phone": {}}}},
            "receivers.ops.phone: found neither, expected exactly one of pagerduty and webhook",
        ),
        ({"default_receiver": "ob"}, "default_receiver: found 'ob', expected one of the receivers (ops)"),
        (
            {"alertmanager": {"watchdog": "ob"}},
            "alertmanager.watchdog: found 'ob', expected one of the receivers (ops)",
        ),
        (
            {"routes": [{"to": "ops"}]},
            "routes[0]: found no label, expected at least one of service, team, severity, dimension",
        ),
        (
            {"routes": [{"to": "ops", "service": "shopp"}]},
            "routes[0].service: found 'shopp', expected one of the services (shop)",
        ),
        (
            {"routes": [{"to": "ops", "team": "keys"}]},
            "routes[0].team: found 'keys', expected one of the teams (there is none)",
        ),
        (
            {"receivers": {"ops": SLACK, "two\nlines": SLACK}},
            (
                "receivers['two\\nlines']: found 'two\\nlines', "
                "expected a name without line breaks and other control characters"
            ),
        ),
        (
            {"alertmanager": {"timing": {"group_interval": "7m"}}},
            "alertmanager.timing.repeat_interval: found 12h, expected a multiple of group_interval (7m)",
        ),
        (
            {"alertmanager": {"timing": {"repeat_interval": "6d"}}},
            "alertmanager.timing.repeat_interval: found 6d, expected at most 5d, when Alertmanager forgets",
        ),
        (
            {"smtp": {"smarthost": "a:25", "from": "a@b", "username": "u"}},
            "smtp.username: found username alone, expected password_file beside it",
        ),
    ],
)
def test_what_is_wrong_with_receivers_and_routes_is_said_with_its_place(
    process: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert message in faults(files(tmp_path, **process))


def test_what_says_that_a_service_is_down_is_an_alert_of_it_and_no_level(tmp_path: Path) -> None:
    steps = [{"to": "ops"}, {"to": "ops", "after": "15m", "name": "Late"}]
    service = {
        "escalation": {"top": {"when": "tier >= 4", "steps": steps}},
        "down": ["Late", "Other", "ShopLoadAction"],
    }
    assert faults(files(tmp_path, service)) == [
        "down[0]: found 'Late', a level of escalation, expected an alert that it follows",
        "down[1]: found 'Other', expected an alert of this service (ShopLoadAction, ShopLoadCritical)",
    ]
