"""Examples of selectors: found by the selector, as a real matcher of Prometheus would."""

import pytest

from tocsin.generate.example import Selector, Series, example


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("up", Series("up", ())),
        ('up{job="web"}', Series("up", (("job", "web"),))),
        ('h{code=~"5..",job!="web"}', Series("h", (("code", "500"),))),
        ('h{code=~"(4|5)[0-9]{2}"}', Series("h", (("code", "400"),))),
        ('h{code=~"(a+)+b{3}"}', Series("h", (("code", "abbb"),))),
        ('h{code=~"[^[:alpha:]]"}', None),
        ('h{code=~"5..|429", code!~"5.."}', Series("h", (("code", "429"),))),
        ('h{path=~"/api/.*"}', Series("h", (("path", "/api/"),))),
        ('h{path=~"/(a|b)/\\\\d+"}', Series("h", (("path", "/a/0"),))),
        ('h{a=~"[x-z].+"}', Series("h", (("a", "x0"),))),
        ('h{a="1", a="2"}', None),
        ('{__name__="h", a!=""}', Series("h", (("a", "other"),))),
        ('{__name__=~"h.*"}', None),
    ],
)
def test_an_example_is_found_by_its_selector(selector: str, expected: Series | None) -> None:
    parsed = Selector.of(selector)
    found = example(parsed)
    assert found == expected
    assert found is None or parsed.finds(found)


def test_one_selector_is_avoided_where_that_can_be() -> None:
    total, bad = Selector.of('h{job="web"}'), Selector.of('h{job="web", code=~"5.."}')
    found = example(total, avoid=bad)
    assert found == Series("h", (("job", "web"),))
    assert not bad.finds(found)
    assert example(bad, avoid=total) is None
    good = Selector.of('h{job="web", code!~"5.."}')
    assert example(total, avoid=good) == Series("h", (("job", "web"), ("code", "500")))


def test_an_expression_is_no_selector() -> None:
    with pytest.raises(ValueError, match="expected a selector"):
        Selector.of("sum(up)")
