"""The contract of names: what interface and naming rules demand of it."""

import re

import pytest

from tocsin import names

ALL = (*names.FAMILIES.values(), *names.OWN.values())


def test_every_name_is_legal_prefixed_and_without_colons() -> None:
    # The runbooks' own name of it, word for word.
    assert [family.name for family in ALL if not family.name.startswith("tocsin_")] == [
        "service_auto_remediations_total"
    ]
    for family in ALL:
        assert re.fullmatch(r"[a-z][a-z0-9_]+", family.name)
        for label in family.labels:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", label)
            assert not label.startswith("__")


def test_total_is_for_counters_only() -> None:
    assert {family.name for family in ALL if family.name.endswith("_total")} == {
        family.name for family in ALL if family.kind == "counter"
    }


def test_no_name_is_used_twice_and_each_is_found_by_its_short_one() -> None:
    assert len({family.name for family in ALL}) == len(ALL)
    assert all(short == family.short for short, family in {**names.FAMILIES, **names.OWN}.items())


def test_help_is_one_sentence_on_one_line() -> None:
    for family in ALL:
        assert family.help[0].isupper() or family.help[0].isdigit()
        assert family.help.endswith(".")
        assert "\n" not in family.help
        assert "\\" not in family.help


def test_no_family_uses_a_label_of_the_operator() -> None:
    operator = {"service", "job", "instance", "namespace", "pod", "container", "endpoint"}
    assert operator <= names.RESERVED_LABELS
    for family in ALL:
        assert not operator & set(family.labels)


def test_own_labels_of_resource_gauges_are_reserved_so_that_no_identity_label_takes_their_place() -> None:
    for family in names.FAMILIES.values():
        assert set(family.labels) <= names.RESERVED_LABELS
        assert not set(family.labels) & set(names.BASE_LABELS)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("melody-meter", "utilization", "critical"), "MelodyMeterUtilizationCritical"),
        (("melody_meter", "p99 latency"), "MelodyMeterP99Latency"),
        (("HTTPServer",), "HTTPServer"),
        (("größe",), "GrE"),
        (("...",), ""),
    ],
)
def test_camel_case(parts: tuple[str, ...], name: str) -> None:
    assert names.camel(*parts) == name


def test_lookups_know_their_own_half_of_the_contract() -> None:
    assert names.metric("value") == "tocsin_value"
    assert names.own("build_info") == "tocsin_build_info"
    with pytest.raises(KeyError):
        names.metric("build_info")
    with pytest.raises(KeyError):
        names.own("value")


def test_every_tier_has_its_label() -> None:
    assert names.TIER_LABELS == {
        -1: "Unknown",
        0: "Normal",
        1: "Informational",
        2: "Watch",
        3: "Action",
        4: "Critical",
    }
