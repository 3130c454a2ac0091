"""`tocsin check rules`: what promtool and our own checks say of the generated rules, and of others beside them."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import orjson
import yaml

from tocsin import __version__, names
from tocsin.cli.failure import Failed
from tocsin.cli.logs import configure
from tocsin.cli.progress import Progress
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tocsin.generate import render, rules
from tocsin.generate.lint.book import Book, Rule, rules_of
from tocsin.generate.lint.check import Finding, findings

if TYPE_CHECKING:
    from tocsin.cli.history import Told

_FAULTS, _WARNINGS = 1, 3
_PROMTOOL = "promtool"


@dataclass(frozen=True)
class Verdict:
    """What promtool said; None where it is not on PATH."""

    passed: bool | None
    said: str = ""
    tested: bool = True

    def line(self) -> str:
        """One line for people."""
        if self.passed is None:
            return "promtool is not on PATH: only Tocsin's own checks were made"
        if not self.passed:
            return f"promtool says:\n{self.said}"
        return "promtool accepts the rules, and their tests pass" if self.tested else "promtool accepts the rules"


@click.command("rules")
@click.option("--config.file", "path", required=True, type=click.Path(path_type=Path), help="The process file.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--source",
    "url",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Also say what each alert would have done over the last 14 days there, with the credentials of the "
    "configuration's source; without URL at the configuration's source itself.",
)
@click.option("--skip-tests", is_flag=True, help="Leave out the unit tests: of many SLOs promtool takes minutes.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@click.option("--strict", is_flag=True, help="Exit with 3 when there are warnings.")
def check_rules(
    path: Path,
    files: tuple[Path, ...],
    url: str | None,
    skip_tests: bool,
    output: Literal["text", "json"],
    strict: bool,
) -> None:
    """Check the rules that the configuration generates, and rule files of your own beside them.

    With promtool where it is on PATH, and always with checks of our own: names, labels in templates, metrics, ranges,
    subqueries, alerts that can never fire or never resolve, names and labels of recordings. A metric that nobody
    knows is a fault in generated rules and a warning in FILES.

    With --source the past tells how often each alert would have fired: tier alerts as a Tocsin that was running would
    have graded, the others by their expressions, once a minute; error budgets whose recordings are not there by the
    metrics of their SLI, every five minutes. An alert that pages more than once a day, fires more than ten times a day
    or more than half of the time is a warning: nobody could live with it. What the source cannot tell is said with the
    reason, and judged by nobody.

    Exit status: 0 when all is well, 1 with faults, 2 for a wrong command line, 3 with warnings under --strict.
    """
    try:
        config = load(path)
        generated = rules.files(config.process, config.services)
        given = {str(file): _read(file) for file in files}
    except ConfigError as error:
        raise Failed(f"{path} is not a valid configuration:\n{error}") from None
    except rules.GenerateError as error:
        raise Failed(str(error)) from None
    configure("error")
    verdict = _promtool(generated, files, tests=not skip_tests)
    book = Book(list(_rules(generated, given)), config.services)
    found = findings(book, config.process.target)
    past = None
    if url is not None:
        # Imported late: it needs everything that grades, and most checks do not.
        from tocsin.cli.history import look_back

        past = look_back(config, book, url)
        found += past.findings()
    _tell(book.rules, found, verdict, past, output)
    if verdict.passed is False or any(not finding.warning for finding in found):
        raise SystemExit(_FAULTS)
    if strict and found:
        raise SystemExit(_WARNINGS)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise Failed(f"{file} cannot be read: {reason}") from None
    if not isinstance(data, dict) or not isinstance(data.get("groups"), list):
        raise Failed(f"{file}: found no rules, expected `groups:` as Prometheus reads them")
    return data


def _rules(generated: Mapping[str, Mapping[str, Any]], given: Mapping[str, Mapping[str, Any]]) -> Iterator[Rule]:
    for name, data in generated.items():
        if not name.startswith(names.RULE_TESTS):
            yield from rules_of(name, data)
    for name, data in given.items():
        yield from rules_of(name, data, generated=False)


def _promtool(generated: Mapping[str, Mapping[str, Any]], files: Sequence[Path], *, tests: bool) -> Verdict:
    """Check the files and, with `tests`, run the generated tests, as many at once as there are processors."""
    binary = shutil.which(_PROMTOOL)
    if binary is None:
        return Verdict(None)
    checked = [name for name in generated if not name.startswith(names.RULE_TESTS)]
    work = list(_batches("check", checked + [str(file.absolute()) for file in files], 50))
    if tests:
        work += _batches("test", [name for name, data in generated.items() if "tests" in data], 2)
    progress, said = Progress(), []
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-") as folder,
        ThreadPoolExecutor(os.cpu_count()) as pool,
        contextlib.closing(progress),
    ):
        for name, data in generated.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(render.document(data, __version__, "-"), encoding="utf-8")

        def run(arguments: list[str]) -> tuple[int, str]:
            done = subprocess.run([binary, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  found on PATH by its name
            return done.returncode, (done.stdout + done.stderr).strip()

        for done, (status, text) in enumerate(pool.map(run, work), 1):
            if status:
                said.append(text)
            progress("promtool", done, len(work))
    return Verdict(not said, "\n".join(said), tests)


def _batches(verb: str, files: Sequence[str], size: int) -> Iterator[list[str]]:
    for i in range(0, len(files), size):
        yield [verb, "rules", *files[i : i + size]]


def _tell(
    book: Sequence[Rule],
    found: Sequence[Finding],
    verdict: Verdict,
    past: "Told | None",
    output: str,
) -> None:
    faults = sum(not finding.warning for finding in found)
    bad = faults > 0 or verdict.passed is False
    if output == "json":
        whole = {
            "valid": not bad,
            "rules": len(book),
            "files": len({rule.file for rule in book}),
            "promtool": {"found": verdict.passed is not None, "passed": verdict.passed, "said": verdict.said},
            "findings": [_finding(finding) for finding in found],
            "past": None if past is None else past.report(),
        }
        click.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(verdict.line(), err=verdict.passed is False)
    if past is not None:
        past.show()
    for finding in found:
        click.echo(f"WARNING: {finding}" if finding.warning else str(finding), err=not finding.warning)
    alerts = sum(rule.is_alert for rule in book)
    what = f"{_count(alerts, 'alert')} and {_count(len(book) - alerts, 'recording')}"
    where = _count(len({rule.file for rule in book}), "file")
    counts = f"{_count(faults, 'fault')}, {_count(len(found) - faults, 'warning')}"
    click.echo(f"{'FAILED' if bad else 'SUCCESS'}: {what} in {where}: {counts}", err=bad)


def _finding(finding: Finding) -> dict[str, Any]:
    severity = "warning" if finding.warning else "fault"
    return {key: getattr(finding, key) for key in ("file", "group", "rule", "message")} | {"severity": severity}


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
