"""What the tests of generated files share: small services, and promtool's opinion of what comes out."""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tocsin.config.models import ProcessModel, Service
from tocsin.generate import render, rules
from tools.servers import require

#: promtool and amtool do one thing after the other: more threads would only collect their garbage, and more often.
THRIFTY = {"GOMAXPROCS": "1", "GOGC": "1600"}

PROCESS: dict[str, Any] = {"source": {"url": "http://127.0.0.1:9090"}, "services": ["*.yml"]}


def process(**more: Any) -> ProcessModel:
    return ProcessModel.model_validate({**PROCESS, **more})


def service(name: str = "shop", signals: Mapping[str, Any] | None = None, **more: Any) -> Service:
    """A service; a signal has an expression if it names none."""
    given = {"load": {}} if signals is None else signals
    filled = {key: {"expr": "up", **signal} for key, signal in given.items()}
    return Service.model_validate({"service": name, "signals": filled, **more})


def rule(service: Service, level: str = "critical", signal: str = "load", **more: Any) -> dict[str, Any]:
    """The rule of one alert, as data."""
    groups = rules.files(process(**more), [service])[f"rules/{service.service}.yml"]["groups"]
    wanted = list(service.signals[signal].alert).index(level)
    group = next(group for group in groups if group["name"] == f"tocsin-{service.service}-{signal}")
    found: dict[str, Any] = group["rules"][wanted]
    return found


def write(out: Path, data: Mapping[str, Mapping[str, Any]]) -> None:
    for name, one in data.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render.document(one, "0", "0"), encoding="utf-8")


def promtool(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Exit status and everything that promtool says."""
    command, env = [require("promtool"), *arguments], {**os.environ, **THRIFTY}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def needed(groups: Iterable[Mapping[str, Any]], *wanted: str) -> list[dict[str, Any]]:
    """The groups with these rules and those that they read: to evaluate all windows of an SLO takes many times longer.

    `wanted` are names of alerts and of what is recorded.
    """
    found = list(groups)
    exprs: dict[str, str] = {}
    for one in (one for group in found for one in group["rules"]):
        name = one.get("alert") or one["record"]
        # Several SLOs record under one name.
        exprs[name] = f"{exprs.get(name, '')} {one['expr']}"
    assert exprs.keys() >= set(wanted)
    kept, reads = set[str](), set(wanted)
    while reads:
        kept |= reads
        reads = {name for one in reads for name in re.findall(r"tocsin_slo:[\w:]+", exprs.get(one, ""))} - kept
    return [
        {**group, "rules": rules}
        for group in found
        if (rules := [one for one in group["rules"] if (one.get("alert") or one["record"]) in kept])
    ]


def of_services(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Without the alerts about Tocsin and their tests, which are the same for most services."""
    return {name: one for name, one in data.items() if Path(name).name != "tocsin.yml"}


def untold(file: Mapping[str, Any]) -> dict[str, Any]:
    """The rules without their texts: to expand those at each evaluation is most of what promtool would do."""
    groups = [
        {**group, "rules": [{key: one[key] for key in one if key != "annotations"} for one in group["rules"]]}
        for group in file["groups"]
    ]
    return {**file, "groups": groups}


def passes(out: Path, data: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the files, check the rules and run their tests."""
    write(out, data)
    found = sorted(str(file.relative_to(out)) for file in out.glob("rules/*.yml"))
    status, said = promtool("check", "rules", "--lint-fatal", *found, cwd=out)
    assert status == 0, said
    status, said = promtool("test", "rules", *sorted(map(str, out.glob("rules/tests/*.yml"))), cwd=out)
    assert status == 0, said
