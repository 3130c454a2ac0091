"""One bad process file per rule, each with the exact place and message of its only fault."""

from pathlib import Path

import pytest

from tocsin.config.faults import ConfigError
from tocsin.config.load import load

TESTDATA = Path(__file__).parent / "testdata" / "config"

STORE = "expected sqlite:////var/lib/tocsin/tocsin.db (four slashes), or postgresql://USER@HOST/DATABASE"

PAGES = "expected a name and a path of letters, digits and -._~/ such as https://ops.example.com/tocsin"

#: bad-NAME.yml: (line:column, path, message).
FAULTS = {
    "above-bound": ("3:20", "source.limits.points", "found the number 12000, expected at most 11000"),
    "auth-twice": ("5:18", "source.auth.bearer_file", "found basic and bearer_file, expected at most one of them"),
    "below-bound": ("3:13", "max_series", "found the number 0, expected at least 1"),
    "calendar-days": (
        "3:43",
        "calendars.office.multipliers[0].days",
        "found 'weekdays', expected daily, mon-fri, a list such as mon,wed,fri, or holiday",
    ),
    "calendar-empty": ("3:35", "calendars.office.multipliers", "found no values, expected at least one"),
    "calendar-holiday": (
        "3:33",
        "calendars.office.holidays[0]",
        "found '2026-02-30', expected a date such as 2026-12-25",
    ),
    "calendar-hours-24": (
        "3:44",
        "calendars.office.multipliers[0].hours",
        "found '24:00-08:00', expected hours such as 09:00-17:00, 22:00-06:00 or 18:00-24:00",
    ),
    "calendar-hours-same": (
        "3:44",
        "calendars.office.multipliers[0].hours",
        "found '09:00-09:00', expected an end that is not the start (00:00-24:00 is the whole day)",
    ),
    "calendar-hours": (
        "3:44",
        "calendars.office.multipliers[0].hours",
        "found '9-17', expected hours such as 09:00-17:00, 22:00-06:00 or 18:00-24:00",
    ),
    "calendar-times-text": (
        "3:44",
        "calendars.office.multipliers[0].times",
        "found 'thrice', expected a ratio such as 0.999 or 99.9%",
    ),
    "calendar-times": ("3:44", "calendars.office.multipliers[0].times", "found the number 0, expected more than 0"),
    "calendar-zone": (
        "3:33",
        "calendars.office.time_zone",
        "found 'America/Gotham', expected an IANA time zone such as Europe/Berlin, or an offset such as +05:30",
    ),
    "control": ("3:10", "(file)", "found the character '\\x01', expected printable text"),
    "deep": ("3:76", "(file)", "found more than 64 levels, expected fewer"),
    "duplicate-key": ("5:1", "publish", "found the key 'publish' again, expected it once (it is on line 3 already)"),
    "duration-zero": ("3:21", "source.limits.timeout", "found '0s', expected more than 0"),
    "duration": ("3:21", "source.limits.timeout", "found '10 seconds', expected a duration such as 30s, 5m or 1h30m"),
    "empty": ("1:1", "(file)", "found an empty file, expected a mapping of settings"),
    "encoding": ("2:6", "(file)", "found the byte 0xe9, expected text in UTF-8"),
    "header-name": ("3:31", "source.auth.headers['X Scope']", "found 'X Scope', expected the name of a header"),
    "header-type": (
        "3:29",
        "source.auth.headers.X-Scope",
        "found a value that is not shown here, expected text (put it in quotes)",
    ),
    "header-value": (
        "3:29",
        "source.auth.headers.X-Scope",
        "found signs that cannot be printed, expected one line of text",
    ),
    "key-list": ("3:15", "calendars", "found a list as a key, expected text (put it in quotes)"),
    "key-not-text": ("3:13", "calendars", "found 1 as a key, expected text (put it in quotes)"),
    "maintenance-both": ("3:15", "maintenance[0]", "found on and start and end, expected either on, or start and end"),
    "maintenance-half": ("3:15", "maintenance[0]", "found start, expected either on, or start and end"),
    "maintenance-hours": (
        "3:83",
        "maintenance[0].hours",
        "found hours beside start and end, expected them with on only",
    ),
    "maintenance-no-time": ("3:15", "maintenance[0]", "found no time, expected either on, or start and end"),
    "maintenance-order": (
        "3:58",
        "maintenance[0].end",
        "found '2026-03-01T02:00', expected an end after the start (2026-03-01T04:00)",
    ),
    "maintenance-rule": (
        "3:32",
        "maintenance[0].on",
        (
            "found 'fifth sunday of month', expected daily, days such as mon-fri or mon,wed, or a rule "
            "such as first sunday of quarter"
        ),
    ),
    "maintenance-service": (
        "3:50",
        "maintenance[0].services[0]",
        "found 'melody-metre', expected one of the services (on)",
    ),
    "maintenance-start": (
        "3:35",
        "maintenance[0].start",
        "found 'tomorrow', expected a time such as 2026-03-01T02:00 or 2026-03-01T02:00Z",
    ),
    "many-aliases": ("4:18", "(file)", "found more than 100000 values (aliases count each time), expected fewer"),
    "merge-key": (
        "5:3",
        "calendars.<<",
        "found the unknown key '<<', expected the keys themselves (YAML 1.2 has no merge key)",
    ),
    "no-match": (
        "4:5",
        "services[1]",
        "found no file that matches 'nowhere/*.yml', expected at least one (from {folder})",
    ),
    "no-services": ("2:11", "services", "found no values, expected at least one"),
    "no-source": ("1:1", "source", "found nothing, expected a value"),
    "not-a-boolean": ("3:38", "source.auth.tls.insecure_skip_verify", "found 'yes', expected true or false"),
    "not-a-list": ("2:11", "services", "found 'good/services/small.yml', expected a list"),
    "not-a-mapping-inside": ("3:9", "target", "found the number 2.42, expected a mapping"),
    "not-a-mapping": ("1:1", "(file)", "found a list, expected a mapping"),
    "not-a-number": ("3:13", "max_series", "found 'many', expected a whole number"),
    "not-text": ("3:22", "target.prometheus", "found the number 2.42, expected text (put it in quotes)"),
    "null": ("3:8", "target", "found nothing, expected a value (or leave the key out)"),
    "principal-access-key": (
        "5:58",
        "principals[1].access_key_id",
        "found 'AKIDOPS' again, expected one of its own",
    ),
    "principal-both": (
        "3:14",
        "principals[0]",
        "found token_hash and token_file, expected exactly one of token_hash, token_file and secret_file",
    ),
    "principal-hash": (
        "3:47",
        "principals[0].token_hash",
        "found a value that is not shown here, expected sha256: and 64 digits of 0-9 and a-f",
    ),
    "principal-name": ("5:12", "principals[1].name", "found 'alertmanager' again, expected a name of its own"),
    "principal-neither": (
        "3:14",
        "principals[0]",
        "found none, expected exactly one of token_hash, token_file and secret_file",
    ),
    "principal-same-hash": (
        "5:35",
        "principals[1].token_hash",
        "found a value that is not shown here again, expected one of its own",
    ),
    "principal-scope": (
        "3:59",
        "principals[0].scopes[0]",
        "found 'root', expected one of webhook, read, admin, emergency",
    ),
    "principal-secret-alone": (
        "3:39",
        "principals[0].secret_file",
        "found secret_file alone, expected access_key_id beside it",
    ),
    "closed-route": (
        "3:17",
        "closed_routes[0]",
        (
            "found '/metric', expected '/metrics' (or another of /, /metrics, /config, /alerts, /alerts.js, "
            "/operations, /api/v1/explain, /api/alerts/active, /api/alerts/history, /learning/kill-switch/status, "
            "/-/healthy, /-/ready, /-/reload)"
        ),
    ),
    "external-url-password": (
        "3:15",
        "external_url",
        (
            "found no address that can be called, expected an address such as https://ops.example.com/path, without "
            "user, password and #"
        ),
    ),
    "external-url-query": ("3:15", "external_url", f"found 'https://ops.example.com/tocsin?a=b', {PAGES}"),
    "external-url-quote": ("3:15", "external_url", f"found 'https://ops.example.com/a\"b', {PAGES}"),
    "quoted-number": ("3:13", "max_series", "found '10', expected a whole number"),
    "recursive-alias": ("3:26", "(file)", "found the alias *all inside &all, expected no recursion"),
    "second-document": ("3:1", "(file)", "found a second document, expected one document in a file"),
    "size": ("3:22", "source.limits.response", "found '64 megabytes', expected a size such as 64MB or 1GiB"),
    "syntax": (
        "2:9",
        "(file)",
        "found no YAML (while parsing a flow mapping, did not find expected ',' or '}'), expected YAML 1.2",
    ),
    "tag": ("3:10", "(file)", "found the tag !python/name:os.system, expected a plain value"),
    "tls-half": ("3:27", "source.auth.tls.cert_file", "found cert_file alone, expected key_file beside it"),
    "unknown-alias": ("3:10", "(file)", "found the alias *what, expected &what before it"),
    "unknown-key-far": (
        "3:10",
        "target.grafana",
        (
            "found the unknown key 'grafana', expected one of prometheus, alertmanager, scrape_interval, "
            "evaluation_interval"
        ),
    ),
    "unknown-key": ("3:1", "max_serie", "found the unknown key 'max_serie', expected 'max_series'"),
    "alertmanager-url": ("3:21", "alertmanager.url", "found credentials in the URL, expected none"),
    "alertmanager-url-host": (
        "3:21",
        "alertmanager.url",
        "found '127.0.0.1:9093', expected a URL such as http://127.0.0.1:9093",
    ),
    "url-credentials": ("1:15", "source.url", "found credentials in the URL, expected them under auth, in files"),
    "url-host": ("1:15", "source.url", "found 'http://', expected a URL such as http://127.0.0.1:9090"),
    "url-port": ("1:15", "source.url", "found 'http://a:99999', expected a URL such as http://127.0.0.1:9090"),
    "url-query": ("1:15", "source.url", "found a query or fragment, expected scheme, host, port and path prefix only"),
    "url-scheme": ("1:15", "source.url", "found '127.0.0.1:9090', expected a URL such as http://127.0.0.1:9090"),
    "store-database": ("3:8", "store", f"found no name of a database, {STORE}"),
    "store-folder": ("3:8", "store", "found '/var/lib/tocsin/', expected the path of a file"),
    "store-host": ("3:8", "store", f"found a host, and SQLite is a file of this machine, {STORE}"),
    "store-memory": ("3:8", "store", f"found a store in memory, which a restart forgets, {STORE}"),
    "store-network": ("3:8", "store", f"found the network path '///files/share/tocsin.db', {STORE}"),
    "store-no-scheme": ("3:8", "store", f"found no scheme, {STORE}"),
    "store-option": (
        "3:8",
        "store",
        "found the option 'options', expected one of host, sslmode, sslrootcert, sslcert, sslkey, target_session_attrs",
    ),
    "store-options": ("3:8", "store", f"found options after the path, {STORE}"),
    "store-password-file": (
        "3:22",
        "store_password_file",
        "found a password for a file, expected it with postgresql:// alone",
    ),
    "store-password": (
        "3:8",
        "store",
        "found a password in the address, expected it in the file that store_password_file names",
    ),
    "store-port": ("3:8", "store", f"found an address that cannot be split, {STORE}"),
    "store-relative": ("3:8", "store", f"found the relative path 'tocsin.db', {STORE}"),
    "store-scheme": ("3:8", "store", f"found the scheme 'mysql', {STORE}"),
    "target-old": ("3:22", "target.prometheus", "found '2.41.9', expected '2.42' or newer"),
    "version": ("3:22", "target.prometheus", "found 'two', expected a version such as '2.42'"),
    "wrong-choice-far": ("3:10", "publish", "found 'everything', expected one of essential, full"),
    "wrong-choice": ("3:10", "publish", "found 'esential', expected 'essential' (or another of essential, full)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_process_file_is_refused_with_its_exact_fault(name: str) -> None:
    path = TESTDATA / f"bad-{name}.yml"
    with pytest.raises(ConfigError) as caught:
        load(path)
    place, where, message = FAULTS[name]
    assert str(caught.value) == f"{path}:{place}: {where}: {message.replace('{folder}', str(TESTDATA))}"


OTHERS = {
    "alert-twice": (
        "{folder}/bad-alert-twice.service.yml:4:52: signals.second.alert.high.name: found the alert 'TooHigh' again, "
        "expected a name of its own ({folder}/bad-alert-twice.service.yml:3:51 has it already)"
    ),
    "directory": "{folder}/good/services:1:1: (file): found a directory, expected a file",
    "service-twice": (
        "{folder}/bad-service-twice.service.yml:1:10: service: found the service 'on' again, expected a name of its "
        "own ({folder}/good/services/small.yml:2:10 has it already)"
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_fault_of_what_a_process_file_names_is_placed_there(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(TESTDATA / f"bad-{name}.yml")
    assert str(caught.value) == OTHERS[name].format(folder=TESTDATA)


def test_every_bad_process_file_has_its_fault_in_a_table() -> None:
    files = {path.stem.removeprefix("bad-") for path in TESTDATA.glob("bad-*.yml") if ".service" not in path.name}
    assert {name for name in files if not name.startswith("service-") or name == "service-twice"} == {*FAULTS, *OTHERS}
