"""What the tests of Alertmanager's files share: small sites, and amtool's opinion."""

import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from generated import THRIFTY, process, service
from tocsin.config.models import Service
from tocsin.generate import render
from tocsin.generate.alertmanager.matchers import equal
from tocsin.generate.alertmanager.site import Site
from tools.servers import require

SMTP = {"smarthost": "127.0.0.1:25", "from": "tocsin@example.com", "require_tls": False}
HOOK = {"url": "http://127.0.0.1:9889/api/v2/webhook", "token_file": "/etc/tocsin/token"}

PAGER = {"pagerduty": {"routing_key_file": "/etc/tocsin/pd"}}
SLACK = {"slack": {"api_url_file": "/etc/tocsin/slack"}}
MAIL = {"email": {"to": ["a@example.com"]}}
RECEIVERS: dict[str, Any] = {
    "oncall": {**PAGER, **SLACK},
    "lead": SLACK,
    "boss": PAGER,
    "ops": {"webhook": {"url": "http://127.0.0.1:1/ops"}},
}


def site(*services: Service, version: str = "0.25", receivers: Mapping[str, Any] | None = None, **more: Any) -> Site:
    given = {"receivers": RECEIVERS if receivers is None else dict(receivers), "smtp": SMTP, **more}
    return Site(process(target={"alertmanager": version}, **given), services or (shop(),))


def shop(name: str = "shop", **more: Any) -> Service:
    """A service with a critical alert that pages, an action and a watch, and an escalation of two levels."""
    alert = {"critical": {"tier": 4, "page": True}, "action": {"tier": 3}, "watch": {"tier": 2}}
    given: dict[str, Any] = {
        "default_receiver": "ops",
        "signals": {"load": {"alert": alert}},
        "escalation": {"top": {"when": "tier >= 4", "steps": [{"to": "oncall"}, {"to": "lead", "after": "15m"}]}},
    }
    return service(name, **{**given, **more})


@cache
def version() -> tuple[int, ...]:
    """The version of the amtool on PATH."""
    done = subprocess.run([require("amtool"), "--version"], capture_output=True, text=True, check=True, timeout=60)
    match = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    assert match is not None
    return tuple(map(int, match.groups()))


def amtool(*arguments: str) -> tuple[int, str]:
    """Exit status and everything that amtool says."""
    done = subprocess.run([require("amtool"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def accepted(folder: Path, data: Mapping[str, Any]) -> Path:
    """Write a configuration, and have amtool check it."""
    file = folder / "alertmanager.yml"
    file.write_text(render.document(data, "0", "0"), encoding="utf-8")
    status, said = amtool("check-config", str(file))
    assert status == 0, said
    return file


def told(file: Path, labels: Mapping[str, str]) -> str:
    """Receivers of a label set, by amtool."""
    words = [str(equal(name, value)) for name, value in labels.items()]
    asked = [require("amtool"), "config", "routes", "test", f"--config.file={file}", "--", *words]
    done = subprocess.run(asked, env={**os.environ, **THRIFTY}, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.removesuffix("\n")
