"""The crash table of docs/safety.md: a process dies at each point, and what is left is what the table says."""

import re
import signal
from pathlib import Path

import pytest

from dying import Site, outside
from stores import Place

#: Point -> whether Alertmanager had its answer, how often the thing was operated, how the action ended and why.
TABLE = {
    "intake: read": (False, 1, ("ok", "done")),
    "group: one written": (False, 1, ("ok", "done")),
    "group: committed": (False, 1, ("ok", "done")),
    "decide: begun": (True, 1, ("ok", "done")),
    "decide: written": (True, 1, ("ok", "done")),
    "decide: committed": (True, 1, ("ok", "done")),
    "claim: written": (True, 1, ("ok", "done")),
    "claim: committed": (True, 0, ("unknown", "interrupted")),
    "action: checked": (True, 0, ("unknown", "interrupted")),
    "action: done": (True, 1, ("unknown", "interrupted")),
    "end: written": (True, 1, ("unknown", "interrupted")),
    "end: committed": (True, 1, ("ok", "done")),
}


DOCUMENT = Path(__file__).parent.parent / "docs" / "safety.md"


def test_the_document_has_this_table() -> None:
    rows = [line.split(" | ") for line in DOCUMENT.read_text().splitlines() if re.match(r"\| P[0-9]+ \|", line)]
    told = {
        row[1].strip("`"): (
            row[3] == "has its answer",
            {"never": 0, "once": 1}[row[5]],
            (row[6].removesuffix(" |"), {"ok |": "done", "unknown |": "interrupted"}[row[6]]),
        )
        for row in rows
    }
    assert told == TABLE


@pytest.mark.parametrize("point", TABLE)
def test_what_is_left_is_what_the_table_says(tmp_path: Path, somewhere: Place, point: str) -> None:
    answered, operated, ended = TABLE[point]
    with outside() as world:
        site = Site(tmp_path, somewhere, world)
        with site.serving(point) as dying:
            got = site.tell("piano")
            dying.join(20)
            assert dying.exitcode == -signal.SIGKILL
        if not answered:
            assert got == 0
        # A minute later, when every lease is over. Alertmanager sends again what was not answered, and nothing else.
        with site.serving(ahead=60):
            if got != 200:
                assert site.tell("piano") == 200
            assert site.settled("piano") == ended
            # It is told again later, and something else after that: nothing of the first is done again.
            assert site.tell("piano") == 200
            assert site.tell("organ") == 200
            assert site.settled("organ") == ("ok", "done")
    pianos = [key for key, resource in world.calls if resource == "piano"]
    assert (len(pianos), len(world.calls)) == (operated, operated + 1)
    held = site.rows("SELECT id FROM resources WHERE held_since IS NOT NULL")
    assert held == ([("piano",)] if ended[0] == "unknown" else [])
    episodes = site.rows("SELECT count(*) FROM episodes")
    assert episodes == [(2,)]
    intents = site.rows(
        "SELECT count(DISTINCT action_id) FROM audit WHERE kind = 'action.intent' AND resource = 'piano'"
    )
    endings = site.rows("SELECT result FROM audit WHERE kind = 'action.ended' AND resource = 'piano'")
    assert (intents, endings) == ([(1,)], [(ended[0],)])
