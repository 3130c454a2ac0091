"""Which labels a rule's result can have, and which of them templates ask for."""

import pytest

from generated import service
from tocsin.generate.lint.book import Book, Rule
from tocsin.generate.lint.labels import LabelsOf
from tocsin.generate.lint.templated import labels_used

RECORD = {"record": "shop:errors:rate5m", "expr": "sum by (code) (rate(errors_total[5m]))", "labels": {"slo": "api"}}
OTHER = {"record": "shop:errors:rate5m", "expr": "sum by (zone) (rate(errors_total[5m]))", "labels": {"slo": "web"}}
OF_ITSELF = {"record": "a:b:c", "expr": "a:b:c + 1"}
ALERT = {"alert": "Broken", "expr": "sum by (node) (up) == 0", "labels": {"team": "t"}}
SIGNALS = {"load": {"by": ["node", "instance"]}, "any": {}}


def labels(expr: str) -> set[str] | None:
    rules = [Rule("f", "g", data) for data in ({"alert": "A", "expr": expr}, RECORD, OTHER, OF_ITSELF, ALERT)]
    found = LabelsOf(Book(rules, [service(signals=SIGNALS)])).result(rules[0])
    return None if found is None else set(found)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("up", None),
        ("(-rate(x[5m]))", None),
        ("sum(x)", set()),
        ("sum by (a, b) (x)", {"a", "b"}),
        ("sum by (a, c) (sum by (a, b) (x))", {"a"}),
        ("sum without (a) (x)", None),
        ("sum without (a) (sum by (a, b) (x))", {"b"}),
        ("topk by (z) (3, sum by (a) (x))", {"a"}),
        ('count_values by (a) ("version", x)', {"a", "version"}),
        ('absent(x{a="1", b=~"2", c!="3"})', {"a"}),
        ('absent_over_time(x{a="1"}[5m])', {"a"}),
        ("absent(sum by (a) (x))", set()),
        ("vector(1)", set()),
        ("vector(scalar(x))", set()),
        ("hour()", set()),
        ("hour(sum by (a) (x))", {"a"}),
        ('label_replace(sum by (a) (x), "b", "$1", "a", "(.*)")', {"a", "b"}),
        ('label_join(sum by (a) (x), "b", "-", "a")', {"a", "b"}),
        ("histogram_quantile(0.9, sum by (le, a) (x))", {"a"}),
        ("quantile_over_time(0.9, x[5m])", None),
        ("max_over_time(sum by (a) (x)[1h:1m])", {"a"}),
        ("sum by (a) (x) > 1", {"a"}),
        ("1 < sum by (a) (x)", {"a"}),
        ("sum by (a) (x) / sum by (b) (y)", set()),
        ("sum by (a) (x) / y", {"a"}),
        ("x / on (a) y", {"a"}),
        ("sum by (a, b) (x) / ignoring (b) sum by (a) (y)", {"a"}),
        ("sum by (a, b) (x) / on (a) group_left (z) sum by (a) (y)", {"a", "b", "z"}),
        ("sum by (a) (y) * on (a) group_right sum by (a, b) (x)", {"a", "b"}),
        ("sum by (a) (x) and on () y", {"a"}),
        ("sum by (a) (x) unless sum by (b) (y)", {"a"}),
        ("sum by (a) (x) or sum by (b) (y)", {"a", "b"}),
        ("info(x)", None),
        ("sum by (a) (x)[1h:1m]", {"a"}),
        ('{__name__=~"a|b"}', None),
        # Recorded by rules of the set: what they give, and what they add.
        ('shop:errors:rate5m{slo="api"}', {"code", "slo"}),
        ("shop:errors:rate5m", {"code", "zone", "slo"}),
        ("a:b:c", None),
        # What Tocsin exposes.
        ("tocsin_stale", {"job", "instance", "tocsin_service", "signal"}),
        (
            'tocsin_severity_level{tocsin_service="shop", signal="load"}',
            {"job", "instance", "tocsin_service", "signal", "resource", "node", "tocsin_instance"},
        ),
        ('tocsin_severity_level{tocsin_service="shop", signal="any"}', None),
        ("tocsin_severity_level", None),
        # What Prometheus keeps of an alert.
        ('ALERTS{alertname="Broken"}', {"alertname", "alertstate", "node", "team"}),
        ("ALERTS", None),
    ],
)
def test_labels_are_those_that_the_result_can_have(expr: str, expected: set[str] | None) -> None:
    assert labels(expr) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("no {labels.a} $labels.b", []),
        ("{{ $labels.a }} and {{$labels.b|humanize}}", ["a", "b"]),
        ("{{ .Labels.a }}{{ $.Labels.b }}", ["a", "b"]),
        ('{{ index $labels "a-b" }}{{ index .Labels `c` }}', ["a-b", "c"]),
        # What a query gives has labels of its own.
        ('{{ range query "up" }}{{ .Labels.a }}{{ $labels.b }}{{ end }}{{ .Labels.c }}', ["b", "c"]),
        ("{{ with query `up` }}{{ . | first | value }}{{ else }}{{ .Labels.a }}{{ end }}", []),
        ("{{ if $labels.a }}{{ .Labels.b }}{{ end }}", ["a", "b"]),
        ("{{ range . }}{{ if $x }}{{ .Labels.a }}{{ end }}{{ end }}{{ .Labels.b }}", ["b"]),
        # A string is no code, whatever it holds.
        ('{{ "{{ $labels.a }}" }}', []),
        ('{{ query (print "x{" $labels.a "}}") }}', ["a"]),
        ("{{/* $labels.a */}}", []),
        ("{{ (index $x 0).Labels.a }}", []),
        ("{{- $labels.a -}}\n{{- $labels.a }}", ["a"]),
    ],
)
def test_a_template_asks_for_the_labels_of_its_alert(template: str, expected: list[str]) -> None:
    assert labels_used(template) == expected
