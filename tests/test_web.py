"""Every route over a real socket: what it answers, and how; labels are text whatever is in them."""

import asyncio
import gzip
import json
import re
from dataclasses import replace
from typing import get_args

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from scripted import T0
from site_client import WEBHOOK, Client, Site, alert, bearer, caller, notification, snapshot
from tocsin.core.budget import Readings, SloView, Terms, assess
from tocsin.core.snapshot import Missed, Sight, Snapshot
from tocsin.metrics import Exposition
from tocsin.source.errors import Klass

# ------------------------------------------------------------------------------------------------ exporter's routes

TEXT_TYPE = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type"),
    [
        ("GET", "/", 200, "text/html; charset=utf-8"),
        ("GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("GET", "/-/healthy", 200, TEXT_TYPE),
        ("GET", "/-/ready", 200, TEXT_TYPE),
        ("POST", "/-/reload", 200, TEXT_TYPE),
        ("PUT", "/-/reload", 200, TEXT_TYPE),
        ("GET", "/-/reload", 405, TEXT_TYPE),
        ("GET", "/config", 200, TEXT_TYPE),
        ("GET", "/api/v1/explain?resource=a", 200, "application/json"),
        ("GET", "/api/v1/explain?resource=b", 404, "application/json"),
        ("GET", "/api/v1/explain", 400, "application/json"),
        ("GET", WEBHOOK, 405, TEXT_TYPE),
        ("POST", "/metrics", 405, TEXT_TYPE),
        ("GET", "/nothing", 404, TEXT_TYPE),
        ("GET", "/-/healthy/", 404, TEXT_TYPE),
        ("GET", "/../etc/passwd", 404, TEXT_TYPE),
    ],
)
def test_every_route_has_its_method_its_status_and_its_type(
    method: str, path: str, status: int, content_type: str
) -> None:
    found, headers, _ = Site(snapshot("a")).ask(method, path)
    assert (found, headers["Content-Type"]) == (status, content_type)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_it_is_not_ready_before_every_signal_was_tried() -> None:
    site = Site()
    site.program.ready = lambda: False
    status, _, text = site.ask("GET", "/-/ready")
    assert (status, text) == (503, "Tocsin is not ready: not every signal has been evaluated once.\n")
    # A page without grades would let alerts resolve that are held while there is no page.
    status, _, text = site.ask("GET", "/metrics")
    assert (status, text) == (503, "Tocsin is starting: not every signal has been evaluated once.\n")
    assert site.ask("GET", "/-/healthy")[0] == 200
    assert "Starting" in site.ask("GET", "/")[2]


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/vnd.google.protobuf", "text/plain; version=0.0.4; charset=utf-8"),
        ("", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_page_comes_in_the_format_that_was_asked_for(accept: str, content_type: str) -> None:
    _, headers, text = Site(snapshot("a")).ask("GET", "/metrics", headers={"Accept": accept})
    assert headers["Content-Type"] == content_type
    assert text.endswith("# EOF\n") == (content_type == OPENMETRICS)
    assert 'tocsin_value{tocsin_service="svc",signal="sig",resource="a"} ' in text


def test_a_head_of_the_page_has_no_body() -> None:
    status, headers, text = Site(snapshot("ä")).ask("HEAD", "/metrics")
    assert (status, text) == (200, "")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


def raw(site: Site, source: str, encoding: str) -> tuple[dict[str, str], bytes]:
    """Headers and bytes of the page as a caller at this loopback address gets it."""
    found: list[tuple[dict[str, str], bytes]] = []

    async def talk(client: Client) -> None:
        connector = aiohttp.TCPConnector(local_addr=(source, 0))
        async with (
            aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
            session.get(client.make_url("/metrics"), headers={"Accept-Encoding": encoding}) as response,
        ):
            found.append((dict(response.headers), await response.read()))

    site.use(talk)
    return found[0]


def test_the_page_is_compressed_for_those_who_ask_unless_they_are_on_this_machine() -> None:
    site = Site(snapshot("a"))
    headers, plain = raw(site, "127.0.0.1", "gzip")
    assert "Content-Encoding" not in headers
    for encoding, compressed in (("gzip", True), ("identity", False), ("gzip;q=0", False), ("br, gzip;q=0.5", True)):
        headers, body = raw(site, "127.0.0.2", encoding)
        assert headers.get("Content-Encoding") == ("gzip" if compressed else None)
        assert (gzip.decompress(body) if compressed else body) == plain


def test_under_a_prefix_everything_moves_and_the_root_leads_there() -> None:
    site = Site(snapshot("a"), caller(), prefix="/tocsin")
    for path in ("/tocsin/metrics", "/tocsin/-/healthy", "/tocsin/config", "/tocsin/api/v1/explain?resource=a"):
        assert site.ask("GET", path)[0] == 200
    assert site.ask("GET", "/metrics")[0] == 404
    for path in ("/", "/tocsin"):
        status, headers, _ = site.ask("GET", path)
        assert (status, headers["Location"]) == (302, "/tocsin/")
    page = site.ask("GET", "/tocsin/")[2]
    assert 'href="/tocsin/metrics"' in page
    assert "/tocsin/api/v2/webhook" in page
    assert site.ask("POST", "/tocsin" + WEBHOOK, json=notification(alert()), headers=bearer())[0] == 200


# ------------------------------------------------------------------------------------------------ landing page


def test_the_landing_page_shows_the_ten_worst_and_says_why() -> None:
    names = [f"r{i:02d}" for i in range(14)]
    text = Site(snapshot(*names)).ask("GET", "/")[2]
    shown = [name for name in names if f'<td class="name">{name}' in text]
    assert shown == names[4:]
    assert text.index("r13") < text.index("r12") < text.index("r04")
    assert "Detector zscore: z " in text
    assert "14 resources in 1 signal," in text


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "{% raw %}", "&lt;b&gt;"]
)
def test_labels_cannot_become_markup(hostile: str) -> None:
    site = Site(snapshot({"x": hostile}), caller())
    evil = alert(resource=hostile, alertname=hostile)
    evil["annotations"]["summary"] = hostile
    texts: list[str] = []

    async def talk(client: Client) -> None:
        async with client.post(WEBHOOK, json=notification(evil), headers=bearer()) as response:
            assert response.status == 200
        async with client.get("/") as response:
            texts.append(await response.text())

    site.use(talk)
    (text,) = texts
    assert "<script" not in text
    assert "<img" not in text
    escaped = hostile.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    assert text.count(escaped) >= 4


def test_a_blind_signal_is_not_among_the_worst() -> None:
    found = snapshot("a", "b")
    blind = replace(found, signals=(replace(found.signals[0], sight=Sight.BLIND),))
    text = Site(blind).ask("GET", "/")[2]
    assert '<td class="name">' not in text[text.index("Ten worst resources") :]
    assert "Nothing is graded now." in text


def test_the_landing_page_names_what_is_configured_and_why_it_is_not_seen() -> None:
    (seen,) = snapshot("a").signals
    (empty,) = snapshot().signals
    signals = (
        seen,
        replace(seen, signal="away", sight=Sight.BLIND),
        replace(seen, signal="hangs", sight=Sight.BLIND),
        replace(empty, signal="empty", expr='up{job="typo"}'),
        replace(seen, signal="once", expr="not shown"),
    )
    missed = (
        Missed("svc", "away", "m", graded=True, reason="timeout"),
        Missed("svc", "once", "not shown", graded=True, reason="timeout"),
        Missed("new", "late", "n", graded=False, reason=None),
        Missed("new", "wrong", "rate(<x>)", graded=False, reason="bad_query"),
    )
    text = Site(Snapshot(T0, signals, missed)).ask("GET", "/")[2]
    assert "4 resources in 7 signals, as of 2023-11-15T00:00:00Z." in text
    table = text[text.index("Signals that are not seen") : text.index("Ten worst resources")]
    rows = [re.findall("<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert rows == [
        ["new/late", "never graded since the start", "its evaluation has not ended"],
        [
            "new/wrong",
            "never graded since the start",
            "the source refuses the expression (bad_query)<br><code>rate(&lt;x&gt;)</code>",
        ],
        ["svc/away", "no grade since 2023-11-15T00:00:00Z", "the source takes too long to answer (timeout)"],
        ["svc/hangs", "no grade since 2023-11-15T00:00:00Z", "its evaluation has not ended"],
        ["svc/empty", "no series", "is the expression right?<br><code>up{job=&#34;typo&#34;}</code>"],
    ]


def test_the_landing_page_has_words_for_every_class_of_error() -> None:
    for klass in get_args(Klass):
        missed = Missed("svc", "sig", "m", graded=False, reason=klass)
        text = Site(Snapshot(T0, (), (missed,))).ask("GET", "/")[2]
        (why,) = re.findall(rf">([^<>]*) \({klass}\)<", text)
        assert why != klass
        assert "0 resources in 1 signal," in text


def test_the_landing_page_says_nothing_of_what_is_seen_and_that_nothing_is_configured() -> None:
    assert "not seen" not in Site(snapshot("a")).ask("GET", "/")[2]
    assert "No signal is configured." in Site().ask("GET", "/")[2]


def test_the_landing_page_works_before_anything_was_graded() -> None:
    status, _, text = Site().ask("GET", "/")
    assert status == 200
    assert "Nothing is graded yet." in text


# ------------------------------------------------------------------------------------------------ explain


def test_explain_answers_every_signal_of_that_resource_as_data() -> None:
    found = snapshot("piano", "violin")
    two = Snapshot(T0, (found.signals[0], replace(found.signals[0], service="other", signal="more")))
    site = Site(two)
    answers = json.loads(site.ask("GET", "/api/v1/explain?resource=violin")[2])
    assert [(a["service"], a["signal"], a["resource"]) for a in answers] == [
        ("svc", "sig", "violin"),
        ("other", "more", "violin"),
    ]
    assert answers[0]["tier"] == int(found.signals[0].grades.tier[1])
    (one,) = json.loads(site.ask("GET", "/api/v1/explain?resource=violin&service=other")[2])
    assert one["signal"] == "more"
    assert site.ask("GET", "/api/v1/explain?resource=violin&service=other&signal=sig")[0] == 404


def test_an_unknown_resource_comes_with_names_that_are_near() -> None:
    status, _, text = Site(snapshot("piano", "violin", "cello")).ask("GET", "/api/v1/explain?resource=pianp")
    assert (status, json.loads(text)) == (404, {"error": "no resource 'pianp'", "near": ["piano"]})
    assert json.loads(Site().ask("GET", "/api/v1/explain?resource=x")[2]) == {"error": "no resource 'x'", "near": []}


@pytest.mark.parametrize("name", ["a/b", "a b&c=d", "ünïcödé 🎹", "<b>", "%41", "a\\b"])
def test_any_name_can_be_asked_for(name: str) -> None:
    site = Site(snapshot({"resource": name}))
    status, _, text = site.ask("GET", "/api/v1/explain", params={"resource": name})
    assert (status, json.loads(text)[0]["resource"]) == (200, name)


def test_a_head_does_not_run_into_the_next_answer_of_its_connection() -> None:
    answers: list[bytes] = []

    async def talk(client: Client) -> None:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        asked = (
            b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        writer.write(b"".join(asked))
        answers.append(await reader.read())
        writer.close()

    Site(snapshot("a")).use(talk)
    heads = answers[0].split(b"\r\n\r\n")
    assert [head.split(b"\r\n")[0] for head in heads[:2]] == [b"HTTP/1.1 200 OK"] * 2
    assert heads[2] == b"Tocsin is healthy.\n"


NAMES = ("calm", "hot")


def test_the_landing_page_shows_the_error_budgets_that_burn_first() -> None:
    terms = [Terms("shop", name, 0.999, 30 * 86400, 5, True, "", (("page", f"{name}Burn"),)) for name in NAMES]
    errors = {300: 0.5, 3600: 0.5, 86400: 0.1}
    views = (
        assess(terms[0], Readings(errors=dict.fromkeys(errors, 0.0), events={3600: 1e6}, remaining=0.9), T0),
        assess(terms[1], Readings(errors=errors, events={3600: 1e6}, history=0.5, remaining=-0.25), T0),
    )
    found = Snapshot(T0, slos=views)
    site = Site(found)
    text = site.ask("GET", "/")[2]
    assert re.findall(r"(\w+) <span class=\"dim\">\(shop\)", text) == ["hot", "calm"]
    assert "hotBurn" in text
    assert "-25 %" in text
    answer = json.loads(site.ask("GET", "/api/v1/explain?slo=hot")[2])
    assert [(one["slo"], one["firing"]) for one in answer] == [("hot", ["hotBurn"])]
    status, _, missing = site.ask("GET", "/api/v1/explain?slo=cold")
    assert (status, json.loads(missing)) == (404, {"error": "no SLO 'cold'", "near": ["calm", "hot"]})
    page = b"".join(Exposition(CollectorRegistry(), "essential").page(found)).decode()
    assert 'tocsin_slo_burn_rate{tocsin_service="shop",slo="hot",window="1h"} 500.0\n' in page
    assert 'tocsin_slo_error_budget_remaining_ratio{tocsin_service="shop",slo="calm"} 0.9\n' in page


def test_the_landing_page_and_the_explanation_say_what_keeps_an_error_budget_from_being_known() -> None:
    def view(name: str, readings: Readings) -> SloView:
        return assess(Terms("shop", name, 0.999, 30 * 86400, 5, True, "", (("page", f"{name}Burn"),)), readings, T0)

    burning = {300: 0.5, 3600: 0.5}
    site = Site(
        Snapshot(
            T0,
            slos=(
                view("loose", Readings(errors=burning, events={3600: 1e6}, origin="direct")),
                view("gone", Readings(origin="recorded")),
                view("lost", Readings(origin="blind")),
                view("young", Readings(origin="unread")),
            ),
        )
    )
    text = site.ask("GET", "/")[2]
    cells = re.findall(r"<td>(?:<div|</td>).*", text)
    assert [re.sub(r"(<[^>]+>)+", "|", cell).strip("|") for cell in cells] == [
        "looseBurn |would fire|its rules are not loaded",
        "its SLI has no result",
        "no answer from the source",
        "not read yet",
    ]
    answers = {name: json.loads(site.ask("GET", f"/api/v1/explain?slo={name}")[2])[0] for name in ("loose", "lost")}
    assert [(one["origin"], one["firing"], one["would_fire"]) for one in answers.values()] == [
        ("direct", [], ["looseBurn"]),
        ("blind", [], []),
    ]
