"""The page of open alerts: which it shows, that what they say is text, and that its script and the API fit together."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from messages import EVIL
from scripted import T0
from site_client import WEBHOOK, Client, Site, bearer, caller, notification
from stores import Place, place
from tocsin.respond.intake import Intake
from tocsin.store.handle import StoreHandle
from tocsin.web.open_alerts import LABELS, SHOWN

ODD = "a b\"c'&d#e%f+g/h?i=j;ü\U0001f3b9<k>"

#: What the page is made of; nothing that loads, and no handler.
TAGS = {"html", "head", "meta", "title", "style", "script", "body", "h1", "p", "nav", "a", "strong", "form", "label"}
TAGS |= {"code", "input", "noscript", "table", "tr", "th", "td", "div", "br", "button", "output"}
ATTRIBUTES = {"lang", "charset", "name", "content", "src", "defer", "class", "href", "hidden", "type", "id"}
ATTRIBUTES |= {"autocomplete", "data-to"}


class Page(HTMLParser):
    """Text of the cells, and what a browser would load, run or send."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self._in_cell = self._in_cell or tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data

    @property
    def cells(self) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.rows if row]


class Alerts(Site):
    """A site with alerts, and somebody who may acknowledge them."""

    def __init__(self, where: Place | None = None, **how: Any) -> None:
        super().__init__(None, caller(), caller("ann", "admin", name="ann"), caller("eve", "read", name="eve"), **how)
        if where is not None:
            self.store = StoreHandle(where.url, self.telemetry, password=lambda: where.password)
            self.program.store, self.program.intake = self.store, Intake(self.telemetry, self.store)

    def deliver(self, *sent: dict[str, Any]) -> None:
        assert self.ask("POST", self.prefix + WEBHOOK, json=notification(*sent), headers=bearer())[0] == 200

    def page(self, **wanted: str) -> Page:
        query = "&".join(f"{key}={quote(text, safe='')}" for key, text in wanted.items())
        status, _, text = self.ask("GET", f"{self.prefix}/alerts?{query}")
        assert status == 200
        return Page(text)

    def shown(self, **wanted: str) -> list[str]:
        """The resources, in the order of the page."""
        return [row[1] for row in self.page(**wanted).cells]


def sent(name: str = "ShopLoadCritical", status: str = "firing", **more: str) -> dict[str, Any]:
    labels = {"alertname": name, "tocsin_service": "shop", "signal": "load", "severity": "4", **more}
    return {
        "status": status,
        "labels": {key: text for key, text in labels.items() if text},
        "annotations": {"summary": f"load of {labels.get('resource', '')} is high"},
        "startsAt": "2023-11-14T23:50:00Z",
        "endsAt": "2023-11-14T23:52:00Z",
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def alerts(request: pytest.FixtureRequest, tmp_path: Any) -> Alerts:
    return Alerts(place(request.param, request, tmp_path))


def test_where_nothing_fires_the_page_says_so() -> None:
    site = Alerts()
    site.deliver(sent("Over", "resolved"))
    _, headers, text = site.ask("GET", "/alerts")
    assert "<p>No open alert.</p>" in text
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "No open alert is like that: it has ended, or " in site.ask("GET", "/alerts?alertname=Over")[2]


def test_an_open_alert_is_shown_with_what_is_known_of_it_and_who_is_at_it() -> None:
    site = Alerts()
    site.deliver(sent(resource="piano"))
    (row,) = site.page().cells
    assert row[:3] == ["ShopLoadCritical shop, load, 4since 2023-11-14T23:50:00Z", "piano", "load of piano is high"]
    (to,) = [value for _, name, value in site.page().attributes if name == "data-to"]
    assert to is not None
    assert f'curl -X POST -H "x-admin-key: $TOKEN" "$TOCSIN/{to}"' in row[3]
    assert site.ask("POST", f"/{to}", headers={"x-admin-key": "ann"})[0] == 200
    page = site.page()
    assert page.cells == [[*row[:3], "acknowledged by ann, 2023-11-15T00:00:00Z"]]
    assert not {"form", "button", "input", "noscript"} & page.tags


def test_the_newest_come_first_and_a_hundred_at_most() -> None:
    site = Alerts()
    now = T0
    site.program.clock = lambda: now
    site.deliver(*(sent(resource=f"old-{i}") for i in range(SHOWN)))
    now = T0 + 1
    site.deliver(sent(resource="new"))
    found = site.shown()
    assert (len(found), found[0]) == (SHOWN, "new")
    assert f"<p>The newest {SHOWN} of {SHOWN + 1}.</p>" in site.ask("GET", "/alerts")[2]
    assert site.shown(resource="old-99") == ["old-99"]


def test_the_query_asks_for_labels_each_of_which_must_fit(alerts: Alerts) -> None:
    alerts.deliver(
        sent(resource="piano"),
        sent(resource="organ"),
        sent("Other", resource="piano"),
        sent(resource="piano", tocsin_service="else"),
        sent(resource="piano", signal="errors"),
        sent(resource=ODD),
    )
    one = {"alertname": "ShopLoadCritical", "service": "shop", "signal": "load", "resource": "piano"}
    assert one.keys() == LABELS.keys()
    assert alerts.shown(**one) == ["piano"]
    assert len(alerts.shown(resource="piano")) == 4
    assert alerts.shown(resource="organ", service="shop") == ["organ"]
    assert alerts.shown(resource=ODD) == [ODD]
    # Nothing is asked of what is empty.
    assert len(alerts.shown(resource="", alertname="Other")) == 1
    for absent in ("Piano", "%", "piano\0", "\0", "\N{BOM}", "' or 1=1 --"):
        assert alerts.shown(resource=absent) == []
        assert alerts.shown(alertname=absent, service=absent) == []
    assert alerts.ask("GET", "/alerts?resource=%FF")[0] == 200


def test_what_labels_say_is_text_and_nothing_is_loaded_or_run_but_what_is_ours() -> None:
    site = Alerts()
    evil = '"><img src=http://evil.example/r onerror=alert(1)><script>s</script>\u202e {{ 7 * 7 }} {% x %}'
    for value in (EVIL, evil):
        site.deliver(sent(value, resource=value, tocsin_service=value, signal=value, severity=value))
        page = site.page(resource=value, alertname=value)
        assert len(page.cells) == 1
        assert page.tags <= TAGS
        assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
        urls = [value for _, name, value in page.attributes if name in ("src", "href", "data-to")]
        assert all(re.fullmatch(r"alerts(\.js)?|\./|api/alerts/[0-9a-f]{32}/acknowledge", url or "") for url in urls)
        assert "\u202e" not in "".join(page.cells[0])
    assert r"\u202e {{ 7 * 7 }} {% x %}" in page.cells[0][1]


def test_a_long_value_is_cut() -> None:
    site = Alerts()
    site.deliver(sent(resource="x" * 5000))
    assert site.shown(resource="x" * 5000) == ["x" * 300 + "…"]


@pytest.mark.parametrize("path", ["/alerts", "/"])
def test_only_the_style_of_the_page_and_scripts_of_ours_are_allowed(path: str) -> None:
    _, headers, text = Alerts().ask("GET", path)
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{hashed}'",
        "script-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search(r"\sstyle=|\son\w+=|<script>", text)


def test_the_script_is_a_file_of_its_own_and_keeps_nothing() -> None:
    status, headers, text = Alerts().ask("GET", "/alerts.js")
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert not re.search(r"[sS]torage|cookie|innerHTML|insertAdjacent|eval|document\.write", text)
    assert '"x-admin-key": field.value' in text


def test_the_token_is_in_no_form_that_is_sent() -> None:
    site = Alerts()
    site.deliver(sent(resource="piano"))
    page = site.page()
    assert ("input", "type", "password") in page.attributes
    assert not [name for tag, name, _ in page.attributes if tag == "input" and name == "name"]
    assert not [name for tag, name, _ in page.attributes if tag == "form" and name in ("action", "method")]


@pytest.mark.parametrize(
    ("sent", "ways"), [({"x-admin-key": "wrong"}, ["Bearer"]), ({}, ['Basic realm="tocsin"', "Bearer"])]
)
def test_a_browser_asks_for_a_password_where_no_script_has_sent_a_token(sent: dict[str, str], ways: list[str]) -> None:
    site = Alerts()
    site.closed = ["/alerts"]
    found: list[tuple[int, list[str]]] = []

    async def talk(client: Client) -> None:
        for method, path in (("GET", "/alerts"), ("POST", "/api/alerts/x/acknowledge")):
            async with client.request(method, path, headers=sent) as response:
                found.append((response.status, response.headers.getall("WWW-Authenticate")))

    site.use(talk)
    assert found == [(401, ways)] * 2


def test_the_page_works_wherever_it_is_mounted() -> None:
    site = Alerts(prefix="/tocsin")
    site.deliver(sent(resource="piano"))
    (to,) = [value for _, name, value in site.page().attributes if name == "data-to"]
    # As a browser resolves it against /tocsin/alerts.
    assert site.ask("POST", f"/tocsin/{to}", headers={"x-admin-key": "ann"})[0] == 200
    assert site.ask("GET", "/tocsin/alerts.js")[0] == 200
    assert site.ask("GET", "/alerts")[0] == 404
    assert 'href="/tocsin/alerts"' in html.unescape(site.ask("GET", "/tocsin/")[2])


def test_a_head_has_no_body() -> None:
    site = Alerts()
    site.deliver(sent(resource="piano"))
    status, headers, text = site.ask("HEAD", "/alerts")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000


def test_the_store_being_away_is_said(tmp_path: Any) -> None:
    site = Alerts(Place(f"sqlite:///{tmp_path}/none/tocsin.db", None, None))
    status, _, text = site.ask("GET", "/alerts")
    assert (status, "STORE_UNAVAILABLE" in text) == (503, True)
