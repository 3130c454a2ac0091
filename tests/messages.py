"""What the tests of messages share: groups of alerts as the rules make them, and a hostile one."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXTERNAL = "https://alertmanager.example.com"
TOCSIN = "https://tocsin.example.com/tocsin"
START = "2026-01-05T10:00:00Z"
WIKI = "https://wiki.example.com/"
BOARD = "https://grafana.example.com/d/"
LEVEL = (
    "This is a level of the escalation policy critical. Look at what the alerts before it say, and who works on them. "
    "An acknowledgement ends it."
)

#: A value of a label that tries everything at once; no address, mention, picture or markup of it may work.
EVIL = (
    "x<!channel> <@U1> @here <http://evil.example/a|click> [b](http://evil.example/c) ![d](http://evil.example/e.png) "
    "`f` *g* _h_ ~i~ &lt;j&gt; {code}k{code} [l|http://evil.example/m] !http://evil.example/n.png! [~admin] \\[o|p] "
    "www.evil.example mailto:q@evil.example <img src=http://evil.example/r> <script>s</script> "
    '{t: "{{ .ExternalURL }}"} ","u":"v" \u202ew\u202c \'x\nSubject: y\r\n\r\nz\u2028> quote'
)


@dataclass(frozen=True)
class Case:
    """A group of alerts: what they have in common, and the labels and annotations of each; `over` if it has ended."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    each: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...] = field(default=(({}, {}),))
    over: bool = False

    def alerts(self, ends: str) -> list[dict[str, Any]]:
        """The alerts as Prometheus posts them; `ends` is an RFC 3339 time."""
        return [
            {
                "labels": {**self.labels, **labels},
                "annotations": {**self.annotations, **annotations},
                "startsAt": START,
                "endsAt": ends,
            }
            for labels, annotations in self.each
        ]


def _links(service: str, alert: str, resource: str = "") -> dict[str, str]:
    return {
        "runbook_url": f"{WIKI}{service}/{alert}",
        "dashboard_url": f"{BOARD}{service}?var-resource={resource}",
        "logs_url": f"https://kibana.example.com/#/?_a=(query:'{service} and code >= 400')",
    }


_TIER = Case(
    {
        "alertname": "MelodyMeterUtilizationCritical",
        "tocsin_service": "melody-meter",
        "signal": "utilization",
        "resource": "piano",
        "severity": "4",
        "team": "scheduling",
        "page": "true",
    },
    {
        "summary": "utilization of piano (melody-meter) has reached tier 4 (critical)",
        "description": "Booked minutes of a resource as a share of its capacity.\n"
        "The value is 97.5%, expected 41% to 63%.\n"
        "At or above this tier since 2026-01-05 09:58:00 +0000 UTC.\n"
        "The forecast reaches the limit of 100% at 2026-01-05 16:00:00 +0000 UTC.\n"
        "Act on it at once: this is far outside of what was ever normal. Carry out what the runbook says and "
        "escalate.\n"
        "`tocsin explain` with the name of the resource says why it has its tier.",
        **_links("melody-meter", "MelodyMeterUtilizationCritical", "piano"),
    },
)

CASES: dict[str, Case] = {
    "tier": _TIER,
    "resolved": Case({**_TIER.labels, "alertname": "MelodyMeterUtilizationAction"}, _TIER.annotations, over=True),
    "group": Case(
        {
            "alertname": "AmasPoolExhausted",
            "tocsin_service": "amas",
            "signal": "pool-exhausted",
            "severity": "P1",
            "team": "platform-engineering",
            "dimension": "infrastructure",
        },
        {"runbook_url": f"{WIKI}amas/AmasPoolExhausted"},
        tuple(
            (
                {"resource": f"db-{i:02d}"},
                {
                    "summary": f"pool-exhausted of db-{i:02d} (amas) is above 19: {20 + i}",
                    "description": f"The value is {20 + i}; it has been above 19 for at least 2m.\nThe aim is 10.",
                    "dashboard_url": f"{BOARD}amas?var-resource=db-{i:02d}",
                },
            )
            for i in range(1, 13)
        ),
    ),
    "escalated": Case(
        {
            "alertname": "MelodyMeterEscalationCriticalDirector",
            "tocsin_service": "melody-meter",
            "signal": "utilization",
            "resource": "piano",
            "severity": "4",
            "team": "scheduling",
            "page": "true",
            "escalation": "critical",
            "receiver": "director",
        },
        {
            "summary": "utilization of piano (melody-meter) has been at tier 4 or above for 30m or 3 times in 2h: "
            "escalated to director",
            "description": f"The tier is 4 now.\nIt was reached 3 times within 2h.\n{LEVEL}",
            **_links("melody-meter", "MelodyMeterEscalationCriticalDirector", "piano"),
        },
    ),
    "slo": Case(
        {
            "alertname": "ApiErrorBudgetBurn",
            "tocsin_service": "maestro",
            "slo": "api-errors",
            "severity": "page",
            "team": "platform",
            "dimension": "api",
            "page": "true",
        },
        {
            "summary": "api-errors (maestro) spends its error budget so fast that somebody has to act now",
            "description": "Requests to the API that are answered without a fault of ours.\n"
            "2.1% were bad, where 0.1% is allowed.\nBurn rate by window: 5m 22.1, 30m 20.4, 1h 18.9, 6h 7.02.\n"
            "Of the budget of 30d, 61.2% is left.",
            "traces_url": "https://jaeger.example.com/search?service=maestro-api&limit=20",
            **_links("maestro", "ApiErrorBudgetBurn"),
        },
    ),
    "absent": Case(
        {"alertname": "AmasMetricsMissing", "tocsin_service": "amas", "severity": "P2", "team": "platform-engineering"},
        {
            "summary": "AmasMetricsMissing (amas): there is nothing",
            "description": "There has been no result other than zero for at least 5m.\n"
            'Expression: max(max_over_time(amas_queue_size{job="amas"}[1h]))',
            **_links("amas", "AmasMetricsMissing"),
        },
    ),
    "hostile": Case(
        {
            "alertname": "Hostile",
            "tocsin_service": "amas",
            "signal": "cpu",
            "resource": EVIL,
            "severity": "P0",
            "team": EVIL,
            "page": "true",
            "escalation": EVIL,
            "receiver": EVIL,
        },
        {
            "summary": f"{EVIL} (amas) is above 90%: 97%",
            "description": f"{EVIL}\nLabels: resource={EVIL}",
            "runbook_url": 'https://wiki.example.com/a b"<>|c)](x){d}`e\\f!g!',
            "dashboard_url": "javascript:alert(1)",
            "logs_url": "https://kibana.example.com/?a=1&b=<!channel>",
        },
    ),
}

#: How a link to acknowledge looks in each medium, by the end of its golden file.
_ACKNOWLEDGE = {
    "slack.json": r"<([^|>]*)\|Acknowledge>",
    "teams.json": r"\[Acknowledge\]\(([^)]*)\)",
    "jira-2.json": r"\[Acknowledge\|([^\]]*)\]",
    "jira-3.json": r'"href": "([^"]*)"\}, "type": "link"\}\], "text": "Acknowledge"',
    "pagerduty.json": r'"href": "([^"]*)", "text": "Acknowledge"',
    "txt": r"(?m)^Acknowledge: (\S*)$",
    "html": r'<a class="link" href="([^"]*)">Acknowledge</a>',
}


def acknowledge(end: str, text: str) -> list[str]:
    """The addresses behind the links to acknowledge of a message, as whoever reads it opens them."""
    if end.endswith(".json"):
        text = json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True)
    found = re.findall(_ACKNOWLEDGE[end], text)
    return [html.unescape(url) if end in ("slack.json", "html") else url for url in found]
