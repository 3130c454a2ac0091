"""What goes wrong between a running Tocsin and its source: each fault has a class, a reason in the log, and an end."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from running import Proxy, Tocsin, configuration, get, lines, scrape_config, until, watched

from tools.faultproxy import (
    Behaviour,
    answer,
    hang,
    passthrough,
    redirect,
    status,
    truncated,
    with_warnings,
)
from tools.servers import prometheus

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class World:
    """A Tocsin that asks its Prometheus through a proxy."""

    tocsin: Tocsin
    proxy: Proxy


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    with (
        watched({"piano": 0.5}) as metrics,
        prometheus(folder, scrape_config(("shop", metrics))) as server,
        Proxy(server.url) as proxy,
        Tocsin(configuration(folder / "tocsin", proxy.url, limits={"timeout": "500ms"})) as tocsin,
    ):
        yield World(tocsin, proxy)


def seen(world: World) -> None:
    world.proxy.does(passthrough())
    until(lambda: world.tocsin.sample("tocsin_severity_level", resource="piano") == 0.0, "piano is graded")


@pytest.mark.parametrize(
    ("behaviour", "klass", "reason"),
    [
        (hang(), "timeout", "gave no complete answer within 0.5s"),
        (status(422), "bad_query", "answered 422, check the expression: made to fail"),
        (status(503), "unavailable", "answered 503, it is overloaded or not up: made to fail"),
        (truncated(60), "bad_response", "sent a body of 60 bytes that ends too early"),
        (answer(b"<h1>Sign in</h1>", 200, "text/html"), "bad_response", "if there is a login page in front: Sign in"),
        (redirect(), "redirect", "answered 302 to https://login.example.com/start: is there a login page in front?"),
    ],
    ids=["hangs", "422", "503", "truncated", "login page", "redirect"],
)
def test_a_fault_is_counted_logged_withdraws_the_values_and_passes(
    world: World, behaviour: Behaviour, klass: str, reason: str
) -> None:
    seen(world)
    tocsin = world.tocsin
    before = tocsin.sample("tocsin_source_requests_total", **{"class": klass}) or 0.0
    said = len(tocsin.log)
    world.proxy.does(behaviour)
    until(lambda: tocsin.sample("tocsin_severity_level", resource="piano") == -1.0, "nothing is known any more")
    assert tocsin.samples("tocsin_value") == []
    assert (tocsin.sample("tocsin_source_requests_total", **{"class": klass}) or 0.0) >= before + 2
    assert tocsin.sample("tocsin_stale", signal="load") == 1.0
    assert (tocsin.sample("tocsin_evaluations_total", signal="load", outcome=klass) or 0.0) >= 2
    assert lines(tocsin.log[said:], "level=warning", 'msg="no answer"', "signal=shop/load", world.proxy.url, reason)
    assert "token=abc" not in tocsin.log
    assert get(tocsin.url + "/-/healthy")[0] == 200
    seen(world)
    assert tocsin.sample("tocsin_value", resource="piano") == 0.5
    assert tocsin.sample("tocsin_stale", signal="load") == 0.0


def test_a_partial_answer_is_used_and_its_warnings_are_counted(world: World) -> None:
    seen(world)
    tocsin = world.tocsin
    assert tocsin.sample("tocsin_source_warnings_total") == 0.0
    world.proxy.does(with_warnings("a store is down", "another, too"))
    until(lambda: (tocsin.sample("tocsin_source_warnings_total") or 0.0) >= 4, "warnings are counted")
    assert tocsin.sample("tocsin_severity_level", resource="piano") == 0.0


def test_nothing_of_all_that_was_a_bug(world: World) -> None:
    seen(world)
    assert "Traceback" not in world.tocsin.log
    assert world.tocsin.samples("tocsin_evaluations_total", outcome="internal_error") == []
    assert world.tocsin.sample("tocsin_collector_running") == 1.0
