"""Plain data as YAML: what is read back is what was written, whatever it is."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tocsin.generate import render

#: Strings that YAML would take for something else, or that could end what they are in.
HOSTILE = [
    "",
    " ",
    "~",
    "null",
    "Null",
    "yes",
    "No",
    "on",
    "true",
    "<<",
    "=",
    "1",
    "-1",
    "+1",
    "1.",
    ".5",
    "1e3",
    "0o17",
    "0x1F",
    "1_000",
    "12:30",
    "190:20:30",
    "2001-01-01",
    "2001-01-01T00:00:00Z",
    ".inf",
    "-.Inf",
    ".nan",
    "- a",
    "-",
    "--- a",
    "---",
    "...",
    "?",
    "? a",
    ":",
    ": a",
    "a: b",
    "a:",
    "a:b",
    "a #b",
    "a#b",
    "#",
    "{",
    "}",
    "[a]",
    "a, b",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a`",
    "'",
    "''",
    '"',
    '"a"',
    "\\",
    "a\\",
    "a'b",
    " a",
    "a ",
    "\ta",
    "a\t",
    "\n",
    "\n\n",
    "a\n",
    "a\n\n",
    "\na",
    " a\nb",
    "a \nb",
    "a\n b",
    "a\nb ",
    "a\n\n\nb",
    "#a\n#b",
    "---\n...",
    "a\rb",
    "a\r\nb",
    "a\x85b",
    "a\u2028b",
    "\ufeff",
    "a\x00b",
    "\x7f",
    "\x80",
    "\U0001f600",
    "\U0010ffff",
    "\u0627\u0644",
    "{{ $labels.x }}",
    "é: ü",
    "x" * 10_000,
    "x " * 5_000,
    "x\n" * 5_000,
    "on: [push]\n- a: b\n",
]

TEXT = (
    st.text()
    | st.text(alphabet=" \n\t\r:#-?'\"{}[]&*!|>%@`\\,.01eEx+_~=<noyNul\x85\u2028\ufeffé")
    | st.sampled_from(HOSTILE)
)
LEAVES = TEXT | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
KEYS = st.text(max_size=20) | st.sampled_from(HOSTILE).filter(lambda text: len(text) < 20)
DATA = st.dictionaries(KEYS, st.recursive(LEAVES, lambda below: st.lists(below) | st.dictionaries(KEYS, below)))


@given(DATA)
def test_what_is_read_back_is_what_was_written(data: dict[str, Any]) -> None:
    assert yaml.safe_load(render.to_yaml(data)) == data


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_a_hostile_string_stays_what_it_is_wherever_it_stands(text: str) -> None:
    data = {"a": text, "b": [text, {"c": text}, [text]], "d": {"e": {"f": text}}}
    written = render.to_yaml(data)
    assert yaml.safe_load(written) == data
    assert yaml.load(written, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) == data  # noqa: S506  both are safe


def test_numbers_of_yaml_1_2_are_no_strings_of_1_1() -> None:
    # Kubernetes reads YAML 1.2: a label with the value 1e3 must not arrive as a number.
    assert render.to_yaml({"a": "1e3", "b": "0o17", "c": "1.5e3"}) == "a: '1e3'\nb: '0o17'\nc: '1.5e3'\n"


def test_the_style_is_that_of_people() -> None:
    data = {
        "groups": [
            {"name": "g", "interval": "1m30s", "rules": [{"expr": "a\nor b", "labels": {"page": "true", "tier": "4"}}]},
            {"name": "{{ x }}", "rules": [], "labels": {}},
        ],
        "nested": [["a", 1], [[2.0]], None, True, 1e300, -math.inf],
    }
    assert render.to_yaml(data) == (
        "groups:\n"
        "  - name: g\n"
        "    interval: 1m30s\n"
        "    rules:\n"
        "      - expr: |-\n"
        "          a\n"
        "          or b\n"
        "        labels:\n"
        "          page: 'true'\n"
        "          tier: '4'\n"
        "  - name: '{{ x }}'\n"
        "    rules: []\n"
        "    labels: {}\n"
        "nested:\n"
        "  - - a\n"
        "    - 1\n"
        "  - - - 2.0\n"
        "  - null\n"
        "  - true\n"
        "  - 1.0e+300\n"
        "  - -.inf\n"
    )


def test_the_end_of_a_block_says_how_many_lines_are_empty() -> None:
    assert render.to_yaml({"a": "x\ny", "b": "x\ny\n", "c": "x\ny\n\n", "d": 1}) == (
        "a: |-\n  x\n  y\nb: |\n  x\n  y\nc: |+\n  x\n  y\n\nd: 1\n"
    )


def test_nothing_and_not_a_number_are_written() -> None:
    assert render.to_yaml({}) == "{}\n"
    assert render.to_yaml({"a": math.nan}) == "a: .nan\n"


@pytest.mark.parametrize(
    "data", [{1: "a"}, {"k" * 200: "a"}, {"a": {1, 2}}, {"a": b"b"}], ids=["key", "long", "set", "bytes"]
)
def test_what_no_rule_file_has_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="cannot write"):
        render.to_yaml(data)


@pytest.mark.parametrize(
    "file", sorted(Path(__file__).parent.parent.glob("rules/**/*.yml")), ids=lambda file: file.stem
)
def test_a_committed_file_is_written_as_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    assert render.to_yaml(yaml.safe_load(text)) == body
