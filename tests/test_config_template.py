"""Templates that Prometheus would refuse are refused before it sees them, and no others."""

import json
from pathlib import Path

import pytest

from generated import promtool
from tocsin.config import template

GOOD = [
    "no template at all",
    "{{ $value }}",
    "{{- $value | humanize -}}",
    "{{$labels.instance}} is down",
    '{{ printf "%.1f }} {{ " $value }}',
    "{{ `}}` }}",
    "{{/* a comment }} */}}x",
    "{{- /* a comment */ -}}x",
    "}} alone",
    "{{ if gt $value 0.5 }}a{{ else if eq $value 1.0 }}b{{ else }}c{{ end }}",
    '{{ range query "up" }}{{ .Labels.instance }}{{ .Value }}{{ end }}',
    '{{ range $i, $e := query "up" }}{{ $i }}{{ $e.Value }}{{ break }}{{ end }}',
    '{{ with $x := query "up" }}{{ $x | first | value }}{{ end }}',
    "{{ $x := 1 }}{{ if true }}{{ $x }}{{ end }}",
    '{{ define "a" }}b{{ end }}{{ template "a" }}',
    "{{ $externalLabels.cluster }} {{ $externalURL }} {{ $.Value }}",
    "{{ (index $labels `a-b`) }}",
    "{{ eq $value -1.0 }} {{ 'x' }}",
]
BAD = [
    ("{{", "an action that is not closed"),
    ("{{ $value }", "an action that is not closed"),
    ('{{ "open }}', "an action that is not closed"),
    ("{{ /* a comment */ }}", "'{{ /* a comment */ }}'"),
    ("{{}}", "'{{  }}'"),
    ("{{ end }}", "{{ end }} outside of if, range and with"),
    ("{{ else }}", "{{ else }} outside of if, range and with"),
    ("{{ if true }}{{ break }}{{ end }}", "{{ break }} outside of range"),
    ("{{ if $value }}", "{{ if }} without an end"),
    ("{{ if $value }}{{ range $x := $labels }}{{ end }}", "{{ if }} without an end"),
    ("{{ $vlaue }}", "the variable $vlaue"),
    ("{{ with $x := 1 }}{{ end }}{{ $x }}", "the variable $x"),
    ("{{ $value | humanise }}", "the function humanise"),
    ("{{ ($value }}", "'{{ ($value }}'"),
    ("{{ $value > 3 }}", "'{{ $value > 3 }}'"),
    ("{{ now }}", "the function now"),
]


def prometheus_takes(text: str, folder: Path) -> bool:
    rule = {"alert": "A", "expr": "up", "annotations": {"summary": text}}
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "a", "rules": [rule]}]}))
    return promtool("check", "rules", "rules.yml", cwd=folder)[0] == 0


@pytest.mark.parametrize("text", GOOD)
def test_what_prometheus_takes_is_good(text: str, tmp_path: Path) -> None:
    assert template.fault(text) is None
    assert prometheus_takes(text, tmp_path)


@pytest.mark.parametrize(("text", "found"), BAD)
def test_what_prometheus_refuses_is_a_fault(text: str, found: str, tmp_path: Path) -> None:
    message = template.fault(text)
    assert message is not None
    assert message.startswith((f"found {found}, expected ", f"found {found} "))
    # A function that is newer than the oldest Prometheus for which rules are made by default.
    assert text == "{{ now }}" or not prometheus_takes(text, tmp_path)


def test_functions_of_prometheus_3_are_known_for_it_alone() -> None:
    assert template.fault("{{ now }}", newer=True) is None
