"""The line from alert to outcome in any order, with deaths between its steps: it does what a plain model says."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from machine_model import CONFIRMED, FRESH, LEASE, NEEDS, RUNS
from machine_steps import POINTS, Steps, policy
from tocsin.guard import audit
from tocsin.respond.responder import due

NAMES = st.sampled_from(["ShopFull", "ShopFull", "ShopSlow"])
# Most of what can go wrong needs two on the same resource.
WHERE = st.sampled_from(["piano", "piano", "piano", "organ", "flute"])
WHO = st.sampled_from(["a", "a", "b"])
UNTIL = st.sampled_from([*POINTS, "claimed", "ended"])
OUTCOMES = st.sampled_from(["ok", "ok", "failed", "unknown"])
#: When the ruler said what: mostly that the alert fires.
SAYS = st.sampled_from(
    [*[(0.0, "")] * 8, (CONFIRMED, ""), (CONFIRMED + 1, ""), (CONFIRMED + 1, ""), (0.0, "unconfirmed"), None]
)
DIES = st.sampled_from([False, False, True])
#: Whether the other state is over soon.
BACK = st.sampled_from([True, True, True, False])
#: When an alert fires since, and when it ended.
SINCE = st.sampled_from(["now", "now", "now", "as before", "its end", "after its end", "long"])
ENDS = st.sampled_from(["now", "now", "unsaid", "before it began", "a while ago"])
LISTED = st.sampled_from(["all", "piano", "ShopFull", "nothing"])
AGO = st.sampled_from([-1.0, 0.0, 30.0])
#: The limit that is free again, or not yet, when an alert comes anew.
FREE = st.sampled_from(["cool", "cool", "fleet", "day", ""])
#: Seconds between two steps of the line, after the first of them: around each bound there.
WAITS = {
    "decided": (0.0, FRESH, FRESH + 1),
    "claimed": (0.0, LEASE - NEEDS, LEASE - NEEDS + 1, LEASE, LEASE + 1),
    "done": (0.0, LEASE, LEASE + 1),
}
AT = st.sampled_from([(at, wait) for at, waits in WAITS.items() for wait in waits])
LINE = {"process": WHO, "until": UNTIL, "outcome": OUTCOMES, "dies": DIES}
#: What may come between two steps of the line.
BETWEEN = ("nothing", "switch", "switch", "doubt", "change", "resolved", "expired", "death", "given up", "stranger")
#: What happens, how often, and with what.
EVENTS: list[tuple[int, str, dict[str, st.SearchStrategy[Any]]]] = [
    (1, "time_passes", {"seconds": st.sampled_from([1.0, 10.0, 30.0, 61.0])}),
    (5, "something_is_over_just_now", {"nth": st.integers(0, 5), "offset": st.sampled_from([-1.0, 0.0, 1.0])}),
    (1, "an_alert_fires", {"name": NAMES, "where": WHERE, "since": SINCE, "listed": st.booleans()}),
    (
        14,
        "something_comes_between",
        {
            "name": NAMES,
            "where": WHERE,
            "free": st.tuples(FREE, st.sampled_from([-1.0, 0.0, 0.0])),
            "looked": BACK,
            "at": AT,
            "what": st.sampled_from(BETWEEN),
            "again": WHO,
            "outcome": OUTCOMES,
        },
    ),
    (4, "an_alert_is_acted_on", {"name": NAMES, "where": WHERE, "since": SINCE, "says": SAYS, **LINE}),
    (3, "an_alert_is_resolved", {"name": NAMES, "where": WHERE, "ends": ENDS}),
    (1, "alertmanager_lists_what_fires", {"there": LISTED, "ago": AGO}),
    (4, "what_is_due_is_decided", {"says": SAYS, **LINE}),
    (1, "another_one_decides_on_everything", {"says": SAYS}),
    (3, "the_line_goes_on", LINE),
    (1, "strangers_come", {}),
    (2, "what_was_done_ends", {"asks": st.booleans(), "times": st.sampled_from([1, 2])}),
    (1, "a_process_dies_and_starts_again", {"process": WHO}),
    (2, "what_was_interrupted_is_given_up", {}),
    (1, "the_switch_is_off", {"back": BACK, "says": SAYS, **LINE}),
    (1, "a_human_releases_a_resource", {"where": st.sampled_from(["held", "held", "held", "piano"])}),
    (1, "the_store_is_thought_older", {"back": BACK, "says": SAYS, **LINE}),
    (1, "a_resource_changes", {"where": WHERE}),
]
EVENT = st.sampled_from(
    [st.tuples(st.just(name), st.fixed_dictionaries(given)) for often, name, given in EVENTS for _ in range(often)]
).flatmap(lambda event: event)


class Line(Steps):
    """What happens is drawn; what is promised is looked at after it."""

    @rule(event=EVENT)
    def it_happens(self, event: tuple[str, dict[str, Any]]) -> None:
        """One rule, as hypothesis leaves some out of each example: of many that need each other none would do much."""
        name, given = event
        getattr(self, name)(**given)

    def something_comes_between(
        self,
        name: str,
        where: str,
        free: tuple[str, float],
        looked: bool,
        at: tuple[str, float],
        what: str,
        again: str,
        outcome: str,
    ) -> None:
        """An alert comes anew, the line goes on and waits, and then what it was begun with is not so any more."""
        if looked:
            self.a_human_releases_a_resource("held")
        last = self.model.last((name, where))
        if last is not None and last.state == "firing":
            self.an_alert_is_resolved(name, where, "now")
        self.model.now = max(self.model.now + 1, self.model.free(free[0], where) + free[1])
        line: dict[str, Any] = {"outcome": outcome, "dies": False}
        self.an_alert_is_acted_on(name, where, "now", says=(0.0, ""), process="a", until=at[0], **line)
        self.model.now += at[1]
        self.comes_between(what, name, where)
        if what != "nothing":
            self.what_was_interrupted_is_given_up()
        self.the_line_goes_on(again, "ended", **line)
        self.what_is_due_is_decided((0.0, ""), process="a", until="ended", **line)
        if what == "switch":
            self.flips(enabled=True)
        if self.model.older:
            self.doubts(older=False)

    def comes_between(self, what: str, name: str, where: str) -> None:
        if what == "switch":
            self.flips(enabled=False)
        elif what == "doubt":
            self.doubts(older=True)
        elif what == "change":
            self.a_resource_changes(where)
        elif what == "resolved":
            self.an_alert_is_resolved(name, where, "now")
        elif what == "expired":
            self.alertmanager_lists_what_fires("nothing", -1.0)
        elif what == "death":
            self.a_process_dies_and_starts_again("a")
        elif what == "stranger":
            self.strangers_come()

    @invariant()
    def what_is_promised_holds(self) -> None:
        if self.written:
            self.the_audit_holds()
            self.what_is_unknown_holds_its_resource_until_a_human_has_looked()
            self.what_was_done_outside_is_never_said_not_to_have_been()
            self.what_fires_is_decided_on_or_due()
            self.written = False

    def the_audit_holds(self) -> None:
        with self.store.read() as connection:
            assert audit.verify(connection) is None

    def what_is_unknown_holds_its_resource_until_a_human_has_looked(self) -> None:
        unknown = self.rows("SELECT id, resource FROM actions WHERE state = 'unknown'")
        held = dict(self.rows("SELECT id, held_by FROM resources WHERE held_since IS NOT NULL"))
        looked = {row[0] for row in self.rows("SELECT action_id FROM audit WHERE kind = 'resource.release'")}
        ended = dict(self.rows("SELECT action_id, seq FROM audit WHERE kind = 'action.ended'"))
        released = dict(self.rows("SELECT resource, max(seq) FROM audit WHERE kind = 'resource.release' GROUP BY 1"))
        assert looked <= set(ended)
        for id_, resource in unknown:
            assert resource in held or ended[id_] < released[resource]

    def what_was_done_outside_is_never_said_not_to_have_been(self) -> None:
        states = {row[:2]: row[2] for row in self.rows("SELECT episode_id, operation, state FROM actions")}
        for (episode, operation), times in self.done.items():
            assert times == 1
            assert states[self.ids[episode], operation] in ("running", "ok", "unknown")

    def what_fires_is_decided_on_or_due(self) -> None:
        """And what was begun has an owner, whose lease has an end."""
        with self.store.read() as connection:
            waiting = {(row.id, plan.operation) for row, plan in due(connection, policy(), self.model.now)}
        decided = set(self.rows("SELECT episode_id, operation FROM actions"))
        for id_, name in self.rows("SELECT id, alertname FROM episodes WHERE state = 'firing'"):
            assert {(id_, operation) for operation in RUNS[name]} <= waiting | decided
        lost = "SELECT count(*) FROM actions WHERE state = 'running' AND (lease_owner IS NULL OR lease_until > ?)"
        assert self.seen.execute(lost, (self.model.now + LEASE,)).fetchone() == (0,)


TestLine = Line.TestCase
TestLine.settings = settings(
    # As the profile asks for; each example is as much as many.
    max_examples=2 * settings.default.max_examples // 3,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
