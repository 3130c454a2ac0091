"""Which series is which resource: identities, refusals, and columns that change hands."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import names
from tocsin.core.resources import (
    IDENTITY_COLLISION,
    LABEL_TOO_LONG,
    LONGEST_LABEL,
    MALFORMED_LABELS,
    MAX_SERIES,
    MISSING_LABEL,
    Identity,
    Refused,
    Registry,
    exported_name,
    identify,
    last_seen,
    spread,
    spread_rows,
)

NONE: frozenset[str] = frozenset()
JOB = frozenset({"job", "replica"})


def wire(*series: dict[str, str]) -> list[bytes]:
    return [json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass") for one in series]


def place(registry: Registry, *series: dict[str, str], role: str = "value", **how: bool) -> tuple[list[int], dict]:
    metrics = wire(*series)
    placement = registry.place(metrics, b"\n".join(metrics), role, **how)
    return placement.columns.tolist(), placement.refused


def registry(by: tuple[str, ...] | None = None, room: int = 1000) -> Registry:
    made = Registry("cpu", by, JOB, lambda: room - len(made))
    return made


# ------------------------------------------------------------------------------------------------ identities


def test_without_by_every_label_but_the_name_the_job_and_the_replica_makes_the_identity() -> None:
    series = {"__name__": "m", "job": "j", "replica": "a", "zone": "z1", "node": "n1"}
    assert identify(series, None, JOB, "cpu") == Identity("n1/z1", (("node", "n1"), ("zone", "z1")))


def test_by_gives_the_labels_and_their_order_and_may_name_an_ignored_one() -> None:
    series = {"job": "api", "zone": "z1", "node": "n1"}
    assert identify(series, ("zone", "job"), JOB, "cpu") == Identity("z1/api", (("zone", "z1"), ("tocsin_job", "api")))


def test_a_series_without_labels_is_named_after_its_signal() -> None:
    assert identify({"__name__": "m"}, None, JOB, "cpu") == Identity("cpu", ())


def test_the_label_resource_alone_is_the_resource_and_not_exported_twice() -> None:
    assert identify({"resource": "piano"}, ("resource",), NONE, "s") == Identity("piano", ())


def test_the_label_resource_beside_others_is_exported_with_the_prefix() -> None:
    found = identify({"resource": "piano", "room": "1"}, ("resource", "room"), NONE, "s")
    assert found == Identity("piano/1", (("tocsin_resource", "piano"), ("room", "1")))


@pytest.mark.parametrize(
    "label",
    [
        "service",
        "job",
        "instance",
        "namespace",
        "pod",
        "container",
        "endpoint",
        "signal",
        "slo",
        "severity",
        "team",
        "dimension",
        "horizon",
        "model",
        "detector",
        "reason",
        "window",
        "tier",
        "le",
        "alertname",
        "alertstate",
        "page",
        "receiver",
        "escalation",
        "escalated_alert",
    ],
)
def test_labels_of_the_operator_and_of_our_own_families_get_the_prefix(label: str) -> None:
    assert exported_name(label, alone=True) == f"tocsin_{label}"
    assert exported_name(label, alone=False) == f"tocsin_{label}"


@pytest.mark.parametrize("label", ["tocsin_service", "tocsin_instance", "__name__", "__tmp", ""])
def test_no_label_can_take_the_place_of_one_of_ours_or_of_prometheus(label: str) -> None:
    assert exported_name(label, alone=False) == f"tocsin_{label}"


@pytest.mark.parametrize(("label", "exported"), [("http.status", "http_status"), ("größe", "gr__e"), ("1st", "_1st")])
def test_utf8_label_names_are_exported_by_legacy_names(label: str, exported: str) -> None:
    assert exported_name(label, alone=True) == exported


def test_two_utf8_labels_with_one_legacy_name_are_refused() -> None:
    with pytest.raises(Refused, match=IDENTITY_COLLISION):
        identify({"a.b": "1", "a_b": "2"}, None, NONE, "s")


@pytest.mark.parametrize(
    ("values", "resource"),
    [(("a/b", "c"), r"a\/b/c"), (("a", "b/c"), r"a/b\/c"), (("a\\", "b"), r"a\\/b"), (("a", "\\/b"), r"a/\\\/b")],
)
def test_slashes_and_backslashes_in_values_are_escaped(values: tuple[str, str], resource: str) -> None:
    assert identify(dict(zip("xy", values, strict=True)), ("x", "y"), NONE, "s").resource == resource


@pytest.mark.parametrize("series", [{"x": "1"}, {"x": "1", "y": ""}])
def test_a_series_without_an_identity_label_is_refused(series: dict[str, str]) -> None:
    with pytest.raises(Refused, match=MISSING_LABEL):
        identify(series, ("x", "y"), NONE, "s")


def test_the_longest_label_is_taken_and_one_character_more_is_refused() -> None:
    assert len(identify({"x": "ä" * LONGEST_LABEL}, None, NONE, "s").resource) == LONGEST_LABEL
    with pytest.raises(Refused, match=LABEL_TOO_LONG):
        identify({"x": "ä" * (LONGEST_LABEL + 1)}, None, NONE, "s")


def test_a_long_label_that_is_not_of_the_identity_does_no_harm() -> None:
    assert identify({"x": "1", "long": "a" * 1_000_000}, ("x",), NONE, "s").resource == "1"


label_names = st.from_regex(r"\A[a-z_][a-z0-9_]{0,3}\Z") | st.sampled_from(
    ["resource", "instance", "tocsin_instance", "tocsin_tocsin_instance", "tocsin_resource", "le", "__a"]
)
label_sets = st.dictionaries(label_names, st.text("a/\\", min_size=1, max_size=4), max_size=4)


@given(label_sets, label_sets)
def test_two_different_label_sets_never_have_one_identity(one: dict[str, str], other: dict[str, str]) -> None:
    def visible(series: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in series.items() if not name.startswith("__")}

    # The one exception is a set with nothing but the signal's own name as its resource; the registry refuses the pair.
    a, b = identify(one, None, NONE, "S"), identify(other, None, NONE, "S")
    assert (a == b) == (visible(one) == visible(other))


@given(st.lists(st.tuples(st.text("a/\\", max_size=4), st.text("a/\\", max_size=4)), unique=True, max_size=8))
def test_different_values_never_have_one_resource_name(values: list[tuple[str, str]]) -> None:
    found = [identify({"x": "." + x, "y": "." + y}, ("x", "y"), NONE, "s").resource for x, y in values]
    assert len(set(found)) == len(values)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=3), max_size=5))
def test_exported_names_are_legal_unique_and_never_ours(series: dict[str, str]) -> None:
    try:
        found = identify(series, None, NONE, "s")
    except Refused as refusal:
        assert str(refusal) == IDENTITY_COLLISION  # noqa: PT017  the other outcome is asserted below
        return
    exported = [name for name, _ in found.labels]
    assert len(set(exported)) == len(exported)
    assert not set(exported) & ({*names.BASE_LABELS} | names.RESERVED_LABELS)
    for name in exported:
        assert name.isascii()
        assert name.isidentifier()
        assert not name.startswith("__")


# ------------------------------------------------------------------------------------------------ placing


def test_series_get_columns_in_their_order_and_keep_them_in_any_other() -> None:
    known = registry()
    assert place(known, {"n": "a"}, {"n": "b"}, {"n": "c"}) == ([0, 1, 2], {})
    before = known.version
    assert place(known, {"n": "c"}, {"n": "a"}, {"n": "b"}) == ([2, 0, 1], {})
    assert (len(known), known.version) == (3, before)


def test_no_two_registries_share_a_version_so_that_nothing_kept_of_one_passes_for_the_other() -> None:
    one, other = registry(), registry()
    place(one, {"n": "a"})
    place(other, {"n": "b"})
    assert one.version != other.version


def test_a_label_name_of_a_megabyte_is_refused_as_a_value_is() -> None:
    assert place(registry(), {"n" * 1_000_000: "a"}) == ([-1], {LABEL_TOO_LONG: 1})


def test_two_series_with_one_identity_are_both_refused_also_when_one_was_there_before() -> None:
    known = registry(("n",))
    assert place(known, {"n": "a", "v": "1"}) == ([0], {})
    assert place(known, {"n": "a", "v": "1"}, {"n": "b"}, {"n": "a", "v": "2"}) == (
        [-1, 1, -1],
        {IDENTITY_COLLISION: 2},
    )
    assert place(known, {"n": "a", "v": "2"}, {"n": "b"}) == ([0, 1], {})


def test_collisions_and_missing_labels_take_no_room() -> None:
    known = registry(("n",), room=1)
    collision = ({"n": "a", "v": "1"}, {"n": "a", "v": "2"}, {"x": "1"}, {"n": "b"})
    assert place(known, *collision) == ([-1, -1, -1, 0], {IDENTITY_COLLISION: 2, MISSING_LABEL: 1})


def test_series_over_a_stretch_of_time_may_share_a_column() -> None:
    known = registry(("n",))
    assert place(known, {"n": "a", "v": "1"}, {"n": "a", "v": "2"}, shared=True) == ([0, 0], {})


def test_beyond_the_room_newcomers_are_refused_and_old_ones_stay() -> None:
    known = registry(room=2)
    assert place(known, {"n": "a"}, {"n": "b"}, {"n": "c"}) == ([0, 1, -1], {MAX_SERIES: 1})
    assert place(known, {"n": "c"}, {"n": "b"}, {"n": "d"}) == ([-1, 1, -1], {MAX_SERIES: 2})
    known.drop(np.array([0]))
    assert place(known, {"n": "c"}, {"n": "b"}, {"n": "d"}) == ([0, 1, -1], {MAX_SERIES: 1})


def test_room_that_appears_is_used_though_the_vector_is_the_same() -> None:
    rooms = [0]
    known = Registry("cpu", None, JOB, lambda: rooms[0])
    assert place(known, {"n": "a"}) == ([-1], {MAX_SERIES: 1})
    rooms[0] = 1
    assert place(known, {"n": "a"}) == ([0], {})


def test_refusals_are_reported_again_in_every_cycle() -> None:
    known = registry(("n",))
    for _ in range(3):
        assert place(known, {"x": "1"}) == ([-1], {MISSING_LABEL: 1})


def test_an_unchanged_vector_is_placed_by_one_comparison() -> None:
    known = registry()
    metrics = wire({"n": "a"}, {"n": "b"})
    first = known.place(metrics, b"\n".join(metrics))
    assert known.place(metrics, b"\n".join(metrics)) is first


def test_after_a_drop_the_same_vector_is_placed_anew() -> None:
    known = registry()
    assert place(known, {"n": "a"}, {"n": "b"})[0] == [0, 1]
    known.drop(np.array([0]))
    assert known.resources == [None, Identity("b", (("n", "b"),))]
    assert known.live().tolist() == [False, True]
    assert place(known, {"n": "c"}, {"n": "b"})[0] == [0, 1]
    assert place(known, {"n": "a"}, {"n": "b"})[0] == [2, 1]


def test_dropping_what_is_not_there_frees_no_column_twice() -> None:
    known = registry()
    place(known, {"n": "a"}, {"n": "b"})
    known.drop(np.array([0]))
    known.drop(np.array([0]))
    assert place(known, {"n": "c"}, {"n": "d"}, {"n": "b"})[0] == [0, 2, 1]


def test_other_roles_admit_nobody_and_see_who_was_admitted_since() -> None:
    known = registry()
    assert place(known, {"n": "a"}, role="capacity", admit=False) == ([-1], {})
    assert place(known, {"n": "a"}) == ([0], {})
    assert place(known, {"n": "a"}, role="capacity", admit=False) == ([0], {})


@pytest.mark.parametrize(
    "metric",
    [b"null", b"[]", b'{"n":1}', b'{"n":"\xff"}', b'{"n":"\\ud800"}', b'{"n":"\xed\xa0\x80"}', b"{", b'{"n":null}'],
)
def test_labels_that_are_no_text_are_refused_alone(metric: bytes) -> None:
    known = registry()
    metrics = [metric, b'{"n":"a"}']
    placement = known.place(metrics, b"\n".join(metrics))
    assert (placement.columns.tolist(), placement.refused) == ([-1, 0], {MALFORMED_LABELS: 1})


def test_churning_series_do_not_fill_the_memory() -> None:
    known = registry(room=10)
    for i in range(5000):
        place(known, {"n": f"pod-{i}"})
        known.drop(np.array([0]))
    assert len(known.resources) == 1
    assert len(known._wire) <= 1005


def test_churning_series_with_long_labels_fill_it_no_sooner() -> None:
    known = registry(room=10)
    for i in range(200):
        place(known, {"n": "pod", "long": f"{i}-" + "x" * 100_000})
        assert sum(map(len, known._wire)) < 5 * 100_100 + 400_000
    assert len(known) == 0


def test_what_is_known_of_the_size_of_wire_forms_stays_true() -> None:
    known = registry(room=10)
    for i in range(3000):
        place(known, {"n": f"pod-{i}"}, {"n": "always"})
    assert known._wired == sum(len(metric) + 400 for metric in known._wire)


def test_the_next_vector_lets_the_keys_of_the_history_go() -> None:
    known = registry()
    place(known, {"n": "a"}, {"n": "b"}, role="history", shared=True)
    place(known, {"n": "a"}, role="timestamp history", shared=True, admit=False)
    assert set(known._shared) == {"history", "timestamp history"}
    place(known, {"n": "a"})
    assert (known._shared, set(known._last)) == ({}, {"value"})


def test_chunks_of_a_history_with_the_same_series_are_parsed_once() -> None:
    known = registry()
    metrics = wire({"n": "a"}, {"n": "b"})
    first = known.place(metrics, b"key", "history", shared=True)
    assert known.place([], b"key", "history", shared=True) is first
    assert known.place(metrics, b"key") is not first  # a vector has rules of its own


def test_a_small_vector_beside_a_large_one_does_not_make_it_be_parsed_again() -> None:
    known = registry(room=5000)
    large = [{"n": str(i)} for i in range(3000)]
    place(known, *large)
    place(known, *({**one, "__name__": "m"} for one in large), role="timestamp", admit=False)
    place(known, {"n": "1"}, role="capacity", admit=False)
    assert len(known._wire) == 6000


vectors = st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), min_size=1, max_size=8)


@given(vectors, st.data())
def test_whatever_comes_and_goes_a_column_has_one_resource_and_a_resource_one_column(
    cycles: list[list[str]], data: st.DataObject
) -> None:
    known = registry()
    for cycle in cycles:
        columns, refused = place(known, *({"n": name} for name in cycle))
        assert refused == {}
        assert [known.resources[c] for c in columns] == [Identity(name, (("n", name),)) for name in cycle]
        assert int(known.live().sum()) == len(known)
        gone = data.draw(st.sets(st.sampled_from(sorted(known._columns.values())))) if len(known) else set()
        known.drop(np.array(sorted(gone), np.intp))


@given(st.permutations([{"n": "a"}, {"n": "b", "v": "1"}, {"n": "b", "v": "2"}, {"x": "1"}, {"n": "c"}]))
def test_the_order_of_series_decides_nothing_but_the_columns(series: list[dict[str, str]]) -> None:
    known = registry(("n",))
    columns, refused = place(known, *series)
    assert refused == {IDENTITY_COLLISION: 2, MISSING_LABEL: 1}
    taken = {one["n"]: column for one, column in zip(series, columns, strict=True) if column >= 0}
    assert taken.keys() == {"a", "c"}
    assert {name: known.resources[column] for name, column in taken.items()} == {
        name: Identity(name, (("n", name),)) for name in "ac"
    }


# ------------------------------------------------------------------------------------------------ spreading


def test_a_vector_is_spread_to_its_columns() -> None:
    out = spread(np.array([2, -1, 0]), np.array([1.0, 2.0, 3.0]), 4)
    np.testing.assert_array_equal(out, [3.0, np.nan, 1.0, np.nan])


def test_series_that_follow_each_other_are_one_resource_and_where_two_are_there_neither_counts() -> None:
    nan = np.nan
    values = np.array([[1.0, nan, 7.0], [2.0, 5.0, 8.0], [nan, 6.0, 9.0], [nan, nan, 9.5]])
    out = spread_rows(np.array([1, 1, -1]), values, 3)
    np.testing.assert_array_equal(out, [[nan, 1.0, nan], [nan, nan, nan], [nan, 6.0, nan], [nan, nan, nan]])


def test_three_series_at_once_count_no_more_than_two() -> None:
    out = spread_rows(np.array([0, 0, 0]), np.array([[1.0, 2.0, 3.0], [1.0, np.nan, np.nan]]), 1)
    np.testing.assert_array_equal(out, [[np.nan], [1.0]])


def test_the_last_time_at_which_each_series_was_seen() -> None:
    nan = np.nan
    seen = last_seen(np.array([[1.0, nan, nan, np.inf], [1.0, 2.0, nan, 1.0], [nan, nan, nan, nan]]), np.arange(3.0))
    np.testing.assert_array_equal(seen, [1.0, 1.0, -np.inf, 1.0])
    assert last_seen(np.empty((3, 0)), np.arange(3.0)).shape == (0,)
