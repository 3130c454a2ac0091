"""Runs the benchmarks, prints their table and writes it into README.md beside this file.

A run of everything at full size is written; a part of it, or --quick, is printed only.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import against_prometheus
import click
import cycles
import exposition
import filling
import generation
import growth
import ingest
import intake
import model
import report
import slo_rules
from harness import Row, processor
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Benchmark = Callable[[bool, tuple[int, ...]], Iterator[Row]]


def _ingest(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return ingest.benchmark(200, 100, 1_000, 2) if quick else ingest.benchmark(2_000, 500, 10_000, 3)


def _model(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return model.benchmark(1_000, 1, 5) if quick else model.benchmark(10_000, 5, 25)


def _exposition(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return exposition.benchmark(1_000, 5, 3) if quick else exposition.benchmark(10_000, 21, 5)


def _cycles(quick: bool, sizes: tuple[int, ...]) -> Iterator[Row]:
    return cycles.benchmark(sizes or ((1_000,) if quick else (10_000, 100_000)), 5 if quick else 25)


def _filling(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return filling.benchmark(500 if quick else 10_000, 500)


def _growth(quick: bool, sizes: tuple[int, ...]) -> Iterator[Row]:
    full = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
    chosen = sizes or ((300, 1_000) if quick else full)
    return growth.benchmark(chosen, 3 if quick else 5, growth.PLOT if chosen == full else None)


def _slo_rules(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return slo_rules.benchmark(4, 0.1, 1) if quick else slo_rules.benchmark(40, 12, 5)


def _prometheus(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return against_prometheus.benchmark(1_000 if quick else 10_000, 5 if quick else 20, 5 if quick else 30)


def _generation(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return generation.benchmark(20, 2) if quick else generation.benchmark(10_000, 50)


def _intake(quick: bool, _sizes: tuple[int, ...]) -> Iterator[Row]:
    return intake.benchmark(500, 2) if quick else intake.benchmark(20_000, 60)


BENCHMARKS: dict[str, Benchmark] = {
    "ingest": _ingest,
    "model": _model,
    "exposition": _exposition,
    "cycles": _cycles,
    "filling": _filling,
    "generation": _generation,
    "slo_rules": _slo_rules,
    "prometheus": _prometheus,
    "intake": _intake,
    "growth": _growth,
}


def run(
    chosen: Sequence[str], quick: bool, sizes: tuple[int, ...], console: Console
) -> tuple[list[Row], tuple[float, ...]]:
    """Every row of the chosen benchmarks, with progress on a terminal and plain lines elsewhere; and the loads seen."""
    rows: list[Row] = []
    loads = [os.getloadavg()[0]]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("benchmarks", total=len(chosen))
        for name in chosen:
            began = time.monotonic()
            progress.update(task, description=name)
            for row in BENCHMARKS[name](quick, sizes):
                # The aims are for full sizes.
                rows.append(replace(row, at_most=None, at_least=None) if quick else row)
                progress.update(task, description=f"{name}: {row.what}")
            progress.advance(task)
            loads.append(os.getloadavg()[0])
            if not console.is_terminal:
                console.print(f"{name}: done in {time.monotonic() - began:.0f} s")
    return rows, tuple(loads)


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Small sizes and few repeats: whether everything runs, not how fast.")
@click.option("--resources", "sizes", multiple=True, type=click.IntRange(1), help="Sizes for cycles and growth.")
@click.option("--write/--no-write", default=None, help="Whether to write README.md; by default for a full run only.")
def main(names: tuple[str, ...], quick: bool, sizes: tuple[int, ...], write: bool | None) -> None:
    began = time.monotonic()
    rows, loads = run(names or tuple(BENCHMARKS), quick, sizes, Console(stderr=True))
    about = report.About(processor(), loads, time.monotonic() - began, quick)
    report.show(rows, about, Console() if sys.stdout.isatty() else Console(width=180))
    if write if write is not None else not (names or quick or sizes):
        report.write(rows, about, Path(__file__).with_name("README.md"))
    missed = [row.what for row in rows if row.met is False]
    if missed:
        print(f"{len(missed)} aims missed", file=sys.stderr)


if __name__ == "__main__":
    main()
