"""What the tests of generated files share: small services, and promtool's opinion of what comes out."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin.config.models import ProcessModel, Service
from tocsin.generate import render, rules
from tools.servers import require

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
    done = subprocess.run(
        [require("promtool"), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def passes(out: Path, data: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the files, check the rules and run their tests."""
    write(out, data)
    found = sorted(str(file.relative_to(out)) for file in out.glob("rules/*.yml"))
    status, said = promtool("check", "rules", "--lint-fatal", *found, cwd=out)
    assert status == 0, said
    status, said = promtool("test", "rules", *sorted(map(str, out.glob("rules/tests/*.yml"))), cwd=out)
    assert status == 0, said
