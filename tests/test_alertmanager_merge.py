"""Our part in somebody's Alertmanager: forty files as people have them, and those that nothing can be added to."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanagers import amtool, shop, site, told
from tocsin.generate.alertmanager import build
from tocsin.generate.alertmanager.merge import LISTS, has_part, merge, unmerge
from tocsin.generate.alertmanager.places import Loader, MergeError

FOLDER = Path(__file__).parent / "testdata" / "alertmanager"
FILES = sorted(FOLDER.glob("*.yml"))

OURS = 'tocsin_service=~".+"'
FRAGMENT: dict[str, Any] = {
    "route": {
        "matchers": [OURS],
        "receiver": "tocsin-ops",
        "mute_time_intervals": ["tocsin-quiet"],
        "routes": [
            {"matchers": ['alertname=~"TocsinDown|TocsinNoSeries"'], "receiver": "tocsin-ops"},
            {"receiver": "tocsin-all", "continue": True},
            {"matchers": ['severity="P1"'], "receiver": "tocsin-\u2028é"},
        ],
    },
    "receivers": [
        {"name": "tocsin-ops"},
        {"name": "tocsin-all", "webhook_configs": [{"url": "http://127.0.0.1:1/", "max_alerts": 0}]},
        {"name": "tocsin-\u2028é", "pagerduty_configs": [{"routing_key": "k", "description": "one\n\n two # 3\n"}]},
    ],
    "time_intervals": [{"name": "tocsin-quiet", "time_intervals": [{"times": [], "years": ["1990"]}]}],
    "inhibit_rules": [{"source_matchers": [OURS], "target_matchers": [OURS, 'severity="P3"'], "equal": ["resource"]}],
    "templates": ["/nowhere/tocsin-*.tmpl"],
}
#: Label sets of ours, and whom FRAGMENT tells.
TOLD = [
    ({"tocsin_service": "x", "alertname": "TocsinDown"}, "tocsin-ops"),
    ({"tocsin_service": "x"}, "tocsin-all"),
    ({"tocsin_service": "x", "severity": "P1"}, "tocsin-all,tocsin-\u2028é"),
]


def read(file: Path) -> str:
    return file.read_bytes().decode()


def parse(text: str) -> Any:
    return yaml.load(text, Loader)  # noqa: S506  a safe one


def write(folder: Path, text: str) -> Path:
    file = folder / "alertmanager.yml"
    file.write_bytes(text.encode())
    return file


def test_there_are_forty_files() -> None:
    assert [file.name[:2] for file in FILES] == [f"{i:02}" for i in range(1, 41)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_put_in_comes_out_and_leaves_the_file_as_it_was(file: Path) -> None:
    text = read(file)
    merged = merge(text, FRAGMENT)
    assert unmerge(merged) == text
    assert unmerge(text) == text
    assert merge(merged, FRAGMENT) == merged
    assert has_part(merged)
    assert not has_part(text)
    # What is put in within brackets divides the line of the bracket.
    pieces = re.compile(r"[\[{]|[^\s\[{]+" if re.search(r"[\[{] # BEGIN tocsin", merged) else r".+")
    rest = iter(pieces.findall(merged))
    assert [piece for piece in pieces.findall(text.removeprefix("\ufeff")) if piece not in rest] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reader_finds_our_items_in_front_and_the_rest_as_before(file: Path) -> None:
    before, after = (parse(text) for text in (read(file), merge(read(file), FRAGMENT)))
    routes = after["route"].pop("routes")
    assert routes[0] == FRAGMENT["route"]
    assert routes[1:] == (before["route"].pop("routes", None) or [])
    for key in LISTS:
        found = after.pop(key)
        assert found[: len(FRAGMENT[key])] == FRAGMENT[key]
        assert found[len(FRAGMENT[key]) :] == (before.pop(key, None) or [])
    assert after == before


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_alertmanager_tells_everybody_else_of_the_same_alerts(file: Path, tmp_path: Path) -> None:
    old, new = amtool("check-config", str(file)), write(tmp_path, merge(read(file), FRAGMENT))
    assert old[0] == 0, old[1]
    status, said = amtool("check-config", str(new))
    assert status == 0, said
    root = parse(read(file))["route"]
    sets = label_sets(root)
    assert len(sets) >= 6
    with ThreadPoolExecutor(2) as pool:
        before, after = (list(pool.map(lambda labels, file=one: told(file, labels), sets)) for one in (file, new))
        # Ours is the first route: what each of the others would take shows it, without what is near to that.
        reaching = [owned(labels) for labels in _below(root, {})]
        ours = list(pool.map(lambda labels: told(new, labels), [*(labels for labels, _ in TOLD), *reaching]))
    assert after == before
    # The root's own receiver need not be told of anything.
    assert {root["receiver"], *(name for names in before for name in names.split(","))} == receivers(root)
    assert ours[: len(TOLD)] == [expected for _, expected in TOLD]
    assert {name.startswith("tocsin-") for names in ours for name in names.split(",")} == {True}


def owned(labels: Mapping[str, str]) -> dict[str, str]:
    return {**labels, "tocsin_service": "x"}


def receivers(route: Mapping[str, Any]) -> set[str]:
    """Receivers that a tree tells of something, which are all that it names."""
    below = {name for child in route.get("routes") or () for name in receivers(child)}
    return below | ({route["receiver"]} if "receiver" in route else set())


_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^",}\s]+))', re.DOTALL)


def label_sets(root: Mapping[str, Any]) -> list[dict[str, str]]:
    """For each route one that reaches it, and that with one label less or another value; some that reach none."""
    found: list[dict[str, str]] = [{}, {"alertname": "Other"}, {"alertname": "X", "severity": "critical"}]
    found += [{"tocsin_service": ""}, {"alertname": "TocsinOther"}, {"tocsinservice": "x", "severity": "info"}]
    for labels in _below(root, {}):
        found.append(labels)
        last = next(reversed(labels), None)
        if last is not None:
            found += [{**labels, last: "nothing of the kind"}, {**labels, "severity": "critical"}]
    return [dict(one) for one in dict.fromkeys(tuple(labels.items()) for labels in found)]


def _below(route: Mapping[str, Any], labels: dict[str, str]) -> Iterator[dict[str, str]]:
    for child in route.get("routes") or ():
        own = dict(labels)
        for name, op, value in _matchers(child):
            own[name] = _value(op, value, own.get(name))
        yield {name: value for name, value in own.items() if value}
        yield from _below(child, own)


def _matchers(route: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for matcher in route.get("matchers") or ():
        for name, op, quoted, plain in _MATCHER.findall(matcher):
            yield name, op, quoted or plain
    yield from ((name, "=", str(value)) for name, value in (route.get("match") or {}).items())
    yield from ((name, "=~", str(value)) for name, value in (route.get("match_re") or {}).items())


def _value(op: str, value: str, had: str | None) -> str:
    """One that a matcher takes, preferably the one that there is."""
    tries = [had or "", "", "x", value, *re.split(r"[|()^$]", value), "branch-1", "TocsinX", "/api/v1", "other"]
    if op.startswith("="):
        tries = [one for one in tries if one] or [""]
    pattern = value if op.endswith("~") else re.escape(value)
    return next(one for one in tries if (re.fullmatch(pattern, one) is not None) == op.startswith("="))


@pytest.mark.parametrize("file", [FILES[2], FILES[11], FILES[15], FILES[33]], ids=lambda file: file.stem)
def test_what_is_generated_can_be_put_in(file: Path, tmp_path: Path) -> None:
    fragment = build.parts(site(shop(), shop("bar"))).data()
    merged = merge(read(file), fragment)
    status, said = amtool("check-config", str(write(tmp_path, merged)))
    assert status == 0, said
    assert unmerge(merged) == read(file)
    assert all(
        name.startswith("tocsin-") for name in told(tmp_path / "alertmanager.yml", {"tocsin_service": "bar"}).split(",")
    )


def test_our_part_follows_what_is_generated_and_goes_when_there_is_none() -> None:
    text = read(FILES[4])
    less = {"route": FRAGMENT["route"], "receivers": FRAGMENT["receivers"]}
    assert merge(merge(text, FRAGMENT), less) == merge(text, less)
    assert "inhibit_rules" not in merge(read(FILES[0]), less)


def test_an_indentation_that_a_formatter_changed_is_no_change() -> None:
    merged = merge("route:\n receiver: a\nreceivers:\n - name: a\n", FRAGMENT)
    moved = re.sub(r"^ +(?=# (BEGIN|END))", "", re.sub(r"^ ", "   ", merged, flags=re.MULTILINE), flags=re.MULTILINE)
    assert moved != merged
    assert unmerge(moved) == "route:\n   receiver: a\nreceivers:\n   - name: a\n"


RECEIVER = "receivers: [{name: a}]\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "1: found no mapping, expected the configuration of an Alertmanager"),
        ("\n- route\n", "2: found no mapping, expected the configuration of an Alertmanager"),
        (
            "route:\n  receiver: [\n",
            "3: found '<stream end>', expected one document of YAML",
        ),
        (f"route: {{receiver: a}}\n{RECEIVER}---\n", "3: found another document, expected one document of YAML"),
        ("route: {receiver: a}\n# \x07\n", "2: found the character U+0007, expected one document of YAML"),
        (RECEIVER, "1: found no mapping `route` of its own, expected one"),
        (f"\nroute: a\n{RECEIVER}", "2: found no mapping `route` of its own, expected one"),
        (
            f"route: &r {{receiver: a}}\nglobal: *r\n{RECEIVER}",
            "1: found no mapping `route` of its own, expected one",
        ),
        ("# one\nroute: {receiver: a}\n", "2: found no `receivers`, expected a list of them"),
        (
            "templates: &x [a]\nroute:\n  receiver: a\n  group_by: *x\n" + RECEIVER,
            "1: found an alias of `templates`, expected a list of its own",
        ),
        (
            "inhibit_rules: &x [{name: a}]\nroute: {receiver: a}\nreceivers: *x\n",
            "1: found an alias of `receivers`, expected a list of its own",
        ),
        (
            f"global: &x {{}}\nroute:\n  <<: *x\n  receiver: a\n{RECEIVER}",
            "3: found `<<` and no `routes`, expected `routes` to be written out",
        ),
        (
            f"route: {{receiver: a}}\n{RECEIVER}templates: /etc/*.tmpl\n",
            "3: found something else than a list at `templates`, expected a list",
        ),
        (
            f"route: {{receiver: a}}\n{RECEIVER}inhibit_rules: null\n",
            "3: found something else than a list at `inhibit_rules`, expected a list",
        ),
        (
            "route:\n  receiver: a\n  routes: {}\n" + RECEIVER,
            "3: found something else than a list at `routes`, expected a list",
        ),
        (
            f"route: {{receiver: a, routes: }}\n{RECEIVER}",
            "1: found no value at `routes`, expected a list such as []",
        ),
        (
            "route: {receiver: a}\nreceivers:\n- name: a\n- {x: y, name: tocsin-ops}\n",
            "4: found tocsin-ops in receivers, expected no name that is ours; rename it",
        ),
        (
            f"route: {{receiver: a}}\n{RECEIVER}mute_time_intervals:\n  - time_intervals: []\n    name: tocsin-quiet\n",
            "5: found tocsin-quiet in mute_time_intervals, expected no name that is ours; rename it",
        ),
        (
            "? route\n: receiver: a\nreceivers:\n- name: a\n",
            "2: found something in front of it in the same line, expected a line of its own",
        ),
        (
            "route: &a\n  receiver: a\n  routes: []\n  group_by: [*a]\n" + RECEIVER,
            "1: found no mapping `route` of its own, expected one",
        ),
        (
            "route:\n  receiver: a\n" + RECEIVER + "? templates\n",
            "2: found a form that this cannot add to, expected plain YAML; put it in by hand",
        ),
        (
            "route:\n  receiver: a\n  repeat_interval: !!int x\n" + RECEIVER,
            "2: found a form that this cannot add to, expected plain YAML; put it in by hand",
        ),
        (
            "a: " + "[" * 2000 + "]" * 2000,
            "1: found it nested too deep, expected one document of YAML",
        ),
    ],
)
def test_a_file_that_nothing_can_be_added_to_is_named_with_its_line(text: str, error: str) -> None:
    with pytest.raises(MergeError) as caught:
        merge(text, FRAGMENT)
    assert str(caught.value) == error


MERGED = merge("route:\n  receiver: a\nreceivers:\n- name: a\n", FRAGMENT)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "- name: tocsin-all\n",
            "- name: tocsin-alle\n",
            "found changes between the comments of receivers, expected what",
        ),
        (
            "# END tocsin receivers\n",
            "",
            "found `# BEGIN tocsin receivers` without its other end, expected both as they",
        ),
        (
            "# END tocsin receivers\n",
            "# END tocsin\n",
            "found `# BEGIN tocsin receivers` without its other end, expected",
        ),
        (r"# BEGIN tocsin receivers \w+\n", "", "found `# END tocsin receivers` without its other end, expected both"),
        (r"(?<=# BEGIN tocsin receivers )\w+", "", "found `# BEGIN tocsin receivers` without its other end, expected"),
    ],
)
def test_what_was_changed_between_the_comments_is_not_lost(old: str, new: str, error: str) -> None:
    broken = re.sub(old, new, MERGED)
    assert broken != MERGED
    kind = "END" if "`# END" in error else "BEGIN"
    line = broken[: broken.index(f"# {kind} tocsin receivers")].count("\n") + 1
    for do in (unmerge, lambda text: merge(text, FRAGMENT)):
        with pytest.raises(MergeError, match=re.escape(f"{line}: {error}")):
            do(broken)


NAMES = st.sampled_from(["a", "b b", "ü", "on: x", "# c", "yes", "-", "1", "[", "x\ny", "* z", "tocsin"])
ROUTES = st.recursive(
    st.fixed_dictionaries({"receiver": NAMES}),
    lambda below: st.fixed_dictionaries(
        {"receiver": NAMES},
        optional={"routes": st.lists(below, max_size=3), "match": st.dictionaries(NAMES, NAMES, max_size=2)},
    ),
    max_leaves=6,
)
CONFIGS = st.fixed_dictionaries(
    {"route": ROUTES, "receivers": st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=3)},
    optional={
        "templates": st.none() | st.lists(NAMES, max_size=2),
        "inhibit_rules": st.none() | st.just([]) | st.just([{"equal": ["a"]}]) | st.just("text"),
        "time_intervals": st.just([]) | st.just({}) | st.just([{"name": "n"}]),
        "global": st.dictionaries(NAMES, NAMES, max_size=2),
    },
)
STYLES = st.fixed_dictionaries(
    {
        "default_flow_style": st.sampled_from([None, True, False]),
        "default_style": st.sampled_from([None, "'", '"', "|", ">"]),
        "indent": st.integers(2, 9),
        "width": st.sampled_from([10, 80]),
        "allow_unicode": st.booleans(),
        "explicit_start": st.booleans(),
        "explicit_end": st.booleans(),
        "sort_keys": st.booleans(),
    }
)


class Indented(yaml.SafeDumper):
    """Indents lists below their keys, and makes no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT  as the base
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  as the base
        return True


@given(
    CONFIGS,
    STYLES,
    st.sampled_from([yaml.SafeDumper, Indented]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=200)
def test_a_file_in_any_style_gets_our_part_and_loses_it_again_or_is_refused(
    config: dict[str, Any], style: dict[str, Any], dumper: type[yaml.SafeDumper], end: str, bom: bool, cut: bool
) -> None:
    text = yaml.dump(config, Dumper=dumper, **style).replace("\n", end)
    text = "\ufeff" * bom + (text.rstrip("\r\n") if cut else text)
    refused = isinstance(config.get("inhibit_rules"), str) or isinstance(config.get("time_intervals"), dict)
    # PyYAML writes None out: `null`.
    refused |= any(value is None for value in config.values())
    try:
        merged = merge(text, FRAGMENT)
    except MergeError:
        assert refused or style["default_style"] in ("|", ">"), text
        return
    assert not refused
    assert unmerge(merged) == text
    assert merge(merged, FRAGMENT) == merged
    assert parse(merged)["receivers"] == FRAGMENT["receivers"] + parse(text)["receivers"]
