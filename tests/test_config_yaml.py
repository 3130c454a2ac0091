"""Scalars of YAML 1.2, positions, and what is bounded before it grows."""

import json
import math
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config import yaml
from tocsin.config.faults import ConfigError
from tocsin.config.yaml import Document, parse, parse_all


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers: the fast one may be missing where PyYAML was built without libyaml."""
    monkeypatch.setattr(yaml, "_LOADER", getattr(pyyaml, request.param))


def read(text: str) -> Document:
    return parse(text.encode(), "f.yml")


def fault(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), "f.yml")
    (only,) = caught.value.faults
    return f"{only.line}:{only.column}: {only.message}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (word, word)
            for word in ("17:00", "NO", "no", "on", "off", "yes", "y", "2026-12-25", "1_000", "0b11", "=", "<<")
        ),
        *(
            (word, word)
            for word in ("09:00-17:00", "5%", "30s", "nan", "inf", ".", "+", "e5", "0x", "0o8", "-0x1", "tRUE")
        ),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        *((word, word.lower() == "true") for word in ("true", "True", "TRUE", "false", "False", "FALSE")),
        ("0777", 777),
        ("0o17", 15),
        ("0xfF", 255),
        ("-12", -12),
        ("+12", 12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+.Inf", math.inf),
        ("999999999999999999", 999999999999999999),
        ("1" + "0" * 30, 1e30),
        ("'17'", "17"),
        ('"true"', "true"),
        ("! 17", "17"),
        ("!!str 17", "17"),
        ("!!float 17", 17.0),
        ("!!int '17'", 17),
        ("|\n  a\n  b", "a\nb\n"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    data = read(f"key: {text}\n").data
    assert isinstance(data, dict)
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


def test_nan_is_a_number() -> None:
    data: Any = read("[.nan, .NaN]").data
    assert all(math.isnan(value) for value in data)


def test_the_version_that_a_file_claims_changes_nothing() -> None:
    assert read("%YAML 1.1\n---\na: yes\n").data == {"a": "yes"}


def test_each_key_and_value_has_its_line_and_column() -> None:
    document = read("a:\n  - b: 1\n    'é ü': [x, {c: 2}]\n")
    assert document.data == {"a": [{"b": 1, "é ü": ["x", {"c": 2}]}]}
    assert document.keys == {
        ("a",): (1, 1),
        ("a", 0, "b"): (2, 5),
        ("a", 0, "é ü"): (3, 5),
        ("a", 0, "é ü", 1, "c"): (3, 17),
    }
    assert document.where(("a", 0, "é ü", 1)) == (3, 16)
    assert document.where(("a", 0, "é ü", 1, "c")) == (3, 20)
    assert document.where(("a", 0, "é ü"), key=True) == (3, 5)


def test_what_is_missing_is_placed_at_the_nearest_thing_around_it() -> None:
    document = read("a:\n  b: {c: 1}\n")
    assert document.where(("a", "b", "x", "y")) == (2, 3)
    assert document.where(("x",)) == (1, 1)


def test_an_alias_is_placed_where_its_text_is() -> None:
    document = read("a: &a {b: 1}\nc: *a\n")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.where(("c", "b")) == (1, 11)


def test_a_later_anchor_of_the_same_name_wins() -> None:
    assert read("[&a 1, &a 2, *a]").data == [1, 2, 2]


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "f.yml").where(("a",), key=True) == (1, 1)


def test_faults_of_keys_leave_the_rest_to_be_read() -> None:
    document = read("a: 1\nb: 2\na: 3\n4: 5\n[x]: 6\n<<: {c: 7}\nd: 8\n")
    assert document.data == {"a": 1, "b": 2, "d": 8}
    assert [str(fault) for fault in document.faults] == [
        "f.yml:3:1: a: found the key 'a' again, expected it once (it is on line 1 already)",
        "f.yml:4:1: (file): found 4 as a key, expected text (put it in quotes)",
        "f.yml:5:1: (file): found a list as a key, expected text (put it in quotes)",
        "f.yml:6:1: <<: found the unknown key '<<', expected the keys themselves (YAML 1.2 has no merge key)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: found an empty file, expected a mapping of settings"),
        (" \n# comment\n", "1:1: found an empty file, expected a mapping of settings"),
        ("a: &a\n  b: [*a]\n", "2:7: found the alias *a inside &a, expected no recursion"),
        ("a: *a\n", "1:4: found the alias *a, expected &a before it"),
        ("a: 1\n--- b\n", "2:1: found a second document, expected one document in a file"),
        ("a: !!binary aGk=\n", "1:4: found the tag !!binary, expected a plain value"),
        ("a: !!set {b}\n", "1:4: found the tag !!set, expected a plain value"),
        ("a: !x [b]\n", "1:4: found the tag !x, expected a plain value"),
        ("a: !!int b\n", "1:4: found 'b', expected what the tag !!int says"),
        ("a: \u0000", "1:4: found the character '\\x00', expected printable text"),
        ("a: \ufffe", "1:4: found the character '\\ufffe', expected printable text"),
        (b"a: b\r\nc: d\n\xff", "3:1: found the byte 0xff, expected text in UTF-8"),
        (b"a\x00\xd8", "1:3: found the byte 0xd8, expected text in UTF-8"),
        ("a: " + "[" * 65 + "]" * 65, "1:68: found more than 64 levels, expected fewer"),
        ("[" * 1_000_000, "1:66: found more than 64 levels, expected fewer"),
        (
            "[" + "x," * 100_000 + "]",
            "1:200000: found more than 100000 values (aliases count each time), expected fewer",
        ),
    ],
)
def test_what_cannot_be_read_is_one_fault_with_its_place(text: str | bytes, expected: str) -> None:
    assert fault(text) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1,\n b", "found no YAML ("),
        ("a: 1\n b: 2", "2:3: "),
        ("key: 'x", "1:8: "),
        ("a: @b", "1:4: "),
        ("\ta: 1", "1:1: "),
    ],
)
def test_a_syntax_error_has_its_line_and_column(text: str, place: str) -> None:
    found = fault(text)
    assert place in found
    assert "found no YAML (" in found
    assert found.endswith("), expected YAML 1.2")


def test_each_document_of_several_has_its_data_positions_and_faults() -> None:
    first, second = parse_all(b"---\na: &x 1\n---\n# nothing\n---\nb:\n  c: 2\nb: 3\n...\n", "f.yml")
    assert (first.data, second.data) == ({"a": 1}, {"b": {"c": 2}})
    assert first.faults == ()
    assert [str(fault) for fault in second.faults] == [
        "f.yml:8:1: b: found the key 'b' again, expected it once (it is on line 6 already)"
    ]
    assert second.where(("b", "c")) == (7, 6)


def test_an_alias_does_not_know_the_anchors_of_another_document() -> None:
    with pytest.raises(ConfigError, match=r"f.yml:3:4: .*found the alias \*x, expected &x before it"):
        parse_all(b"a: &x 1\n---\nb: *x\n", "f.yml")


def test_all_documents_together_are_bounded() -> None:
    with pytest.raises(ConfigError, match="more than 100000 values"):
        parse_all(b"---\n[" + b"x," * 60_000 + b"]\n---\n[" + b"x," * 60_000 + b"]\n", "f.yml")


def test_a_file_of_empty_documents_is_empty() -> None:
    with pytest.raises(ConfigError, match="found an empty file"):
        parse_all(b"---\n---\n", "f.yml")


def test_half_a_surrogate_pair_is_refused() -> None:
    assert fault('a: "\\ud800"').startswith("1:")


def test_aliases_that_explode_are_stopped() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert "more than 100000 values" in fault("\n".join(lines))


def test_aliases_that_nest_are_stopped() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 90)]
    assert "more than 64 levels" in fault("\n".join(lines))


#: Line separators fold in YAML's quotes; JSON has them as they are.
PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\u2028\u2029\ufeff"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PRINTABLE
)
KEYS = PRINTABLE.filter(lambda text: text != "<<")


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20))
def test_json_reads_as_json_does(value: object) -> None:
    assert read(json.dumps(value, ensure_ascii=False)).data == value
