"""Alerts about what Tocsin does by itself: an action of unknown end, the kill switch, the audit, the store.

A Tocsin without a store exposes none of these metrics, and has none of these alerts.
"""

from collections.abc import Iterator

from tocsin import names
from tocsin.generate.meta_alert import Meta

#: For so long after a flip there is an alert about it, so that one scrape or one evaluation that fails misses none.
FLIPPED = "15m"
#: For so long the greatest number of an audit record is remembered, as far as Prometheus keeps it.
REMEMBERED = "30d"
#: Faults of the store that do not pass by themselves; reading goes well beside some of them.
_BROKEN = "full|read_only|corrupt|io_error"


def alerts() -> Iterator[Meta]:
    """All of them; replicas of one store say the same of it, so that each is one alert."""
    yield _action_unknown()
    yield _flipped()
    yield _went_back()
    yield _store_down()


def _action_unknown() -> Meta:
    service = f"{{{{ $labels.{names.SERVICE} }}}}"
    return Meta(
        names.ALERT_ACTION_UNKNOWN,
        f"max by ({names.SERVICE}) ({names.own('actions_unknown')}) > 0",
        0,
        "critical",
        f"Nobody knows how an action for {service} ended",
        f'{{{{ $value | printf "%.0f" }}}} resources of {service} are held: an operation was begun on each, and no '
        "answer came. Tocsin does not try again, and does nothing else to them.\n"
        "`tocsin audit list --result unknown` and Tocsin's page /operations name them: look there what was done, then "
        "let actions begin again with `tocsin release resource SERVICE ID --reason TEXT`.",
    )


def _flipped() -> Meta:
    generation, armed = names.own("kill_switch_generation"), names.own("kill_switch_armed")
    # The label makes each flip an alert of its own: the second one within the time is told too. The value says which
    # way it is now.
    return Meta(
        names.ALERT_KILL_SWITCH,
        f'count_values("flip", max({generation})) * on () group_left () min({armed})\n'
        f"and on () max(changes({generation}[{FLIPPED}])) > 0",
        0,
        "warning",
        "The kill switch was flipped: operations {{ if eq $value 0.0 }}are blocked{{ else }}may run{{ end }}",
        f"Somebody flipped the kill switch in the last {FLIPPED}; this is its state {{{{ $labels.flip }}}}.\n"
        "`tocsin kill-switch status` says who and why, `tocsin audit list --principal NAME` what else they did.",
        process=True,
    )


def _went_back() -> Meta:
    seq = names.own("audit_seq")
    return Meta(
        names.ALERT_AUDIT_WENT_BACK,
        f"max(max by (store) ({seq}) < max by (store) (max_over_time({seq}[{REMEMBERED}])))",
        0,
        "critical",
        "The audit has fewer records than it had",
        'The last audit record has the number {{ $value | printf "%.0f" }}, and there were greater ones: the store '
        "is an older state of itself. What happened since then is forgotten there.\n"
        "`tocsin audit verify` tells whether the chain holds; restore the newest backup, or find out what is missing.",
        process=True,
    )


def _store_down() -> Meta:
    return Meta(
        names.ALERT_STORE_DOWN,
        f"min({names.own('store_up')}) == 0\n"
        f'or sum(increase({names.own("store_errors_total")}{{reason=~"{_BROKEN}"}}[5m])) > 0',
        120,
        "critical",
        "Tocsin cannot use its store",
        "The store cannot be reached, or not be written. No operation begins, the webhook answers 503, and "
        "Alertmanager tries again; grades and alerts go on.\n"
        "`tocsin_store_errors_total` by reason and Tocsin's log say what is wrong.",
        process=True,
    )
