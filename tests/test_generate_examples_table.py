"""The table in examples/README.md: every demand of the runbooks has a row, and what a row points at exists."""

import re
from typing import Any

import pytest
import yaml

from examples import ROOT, alerts
from tocsin import names

ROWS = [f"{letter}{n}" for letter, last in zip("ABCDE", (17, 9, 13, 14, 11), strict=True) for n in range(1, last + 1)]
README = (ROOT / "examples" / "README.md").read_text()
TABLE = {
    cells[0]: (heading.group(1), cells)
    for section in re.split(r"(?m)^### ", README)[1:]
    if (heading := re.match(r".*\(`(services/[a-z-]+\.yml)`\)", section))
    for line in section.splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split(" | ")]) and re.fullmatch(r"[A-E][0-9]+", cells[0])
}


def test_the_table_has_a_row_for_every_demand_in_order() -> None:
    assert list(TABLE) == ROWS
    assert {len(cells) for _, cells in TABLE.values()} == {6}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_where_it_is_and_what_shows_it_or_that_it_is_not_there_yet(row: str) -> None:
    _, (_, _, where, artefact, test, later) = TABLE[row]
    assert later != "-" or "-" not in (where, artefact, test)
    assert later == "-" or re.match("(Guard|Act|Operate|Learn)", later)


@pytest.mark.parametrize("row", ROWS)
def test_what_a_row_points_at_exists(row: str) -> None:
    file, (_, _, where, artefact, test, _) = TABLE[row]
    for pointer in re.findall(r"`([^`]+)`", where):
        process, _, path = pointer.rpartition(": ")
        _follow(yaml.safe_load((ROOT / "examples" / (process or file)).read_text()), path)
    for name in re.findall(r"`([A-Z][A-Za-z0-9]+)`", artefact):
        assert name in alerts(), name
    own = {family.name for family in (*names.FAMILIES.values(), *names.OWN.values(), *names.SLO_FAMILIES.values())}
    assert set(re.findall(r"`(tocsin_[a-z_]+)`", artefact)) <= own
    for path in re.findall(r"`((?:tests|rules|alertmanager|dashboards)/[^`]+)`", artefact + test):
        assert (ROOT / path).is_file(), path


def _follow(data: Any, pointer: str) -> None:
    """Go along keys, those with dots in quotes; an element of a list is found by its name."""
    for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', pointer):
        key = quoted or plain
        if isinstance(data, list):
            data = {one["name"]: one for one in data}
        assert key in data, f"{pointer}: {key}"
        data = data[key]


def test_every_command_of_the_table_says_what_does_it_or_which_part_will() -> None:
    lines = [line.strip("|").split(" | ") for line in README[README.index("| command |") :].splitlines()[2:]]
    rows = [row for row in lines if not row[0].strip().startswith("**")]
    assert len(rows) > 60
    assert all(len(row) == 2 and row[1].strip() for row in rows)
