"""Loading whole configurations: what comes out, what is hidden, and that every fault is found at once."""

import hashlib
import json
import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tocsin.config.faults import ConfigError, Fault, show_path
from tocsin.config.load import load
from tocsin.config.secrets import MAX_BYTES, SecretError, read_secret

GOOD = Path(__file__).parent / "testdata" / "config" / "good"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the named files (service.yml is a small good one unless given) and return the process file."""

    def files(process: str = "", /, **services: str) -> Path:
        services = services or {"service": "service: small\nsignals: {up: {expr: up}}\n"}
        for name, text in services.items():
            (tmp_path / f"{name}.yml").write_text(textwrap.dedent(text))
        path = tmp_path / "tocsin.yaml"
        path.write_text(textwrap.dedent(process) or "source: {url: http://localhost:9090}\nservices: ['*.yml']\n")
        return path

    return files


def faults(path: Path) -> list[str]:
    """Faults of a configuration without the folder that it is in."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [str(fault).replace(f"{path.parent}/", "") for fault in caught.value.faults]


def test_a_good_configuration_becomes_frozen_models() -> None:
    config = load(GOOD / "tocsin.yml")
    signal = config.services[0].signals["utilization"]
    assert [service.service for service in config.services] == ["melody-meter", "on"]
    assert (signal.interval, signal.grid, signal.season_slots, signal.horizon) == (60, 1800, 48, 86400)
    assert (signal.normal, signal.alert["action"].for_, signal.min_deviation_ratio) == ((0.2, None), 300.0, 0.01)
    assert config.services[0].tiers.delta == (0.05, 0.07, 0.1, 0.15)
    assert config.services[1].team == "NO"
    assert config.process.source.limits.response == 64_000_000
    assert config.warnings == ()
    with pytest.raises(ValidationError):
        config.process.max_series = 1  # type: ignore[misc]  # that it is frozen is the point


def test_what_is_left_out_has_the_documented_defaults() -> None:
    config = load(GOOD / "minimal.yml")
    signal = config.services[0].signals["up"]
    assert (signal.grid, signal.season_slots, signal.horizon, signal.window) == (60, None, 3600, 60)
    assert {name: (a.tier, a.grades, a.for_, a.page) for name, a in signal.alert.items()} == {
        "critical": (4, 2, None, False),
        "action": (3, 2, 300.0, False),
    }
    assert config.services[0].signals["old"].horizon is None


def test_the_hash_is_that_of_the_contents_in_order() -> None:
    config = load(GOOD / "tocsin.yml")
    assert [file.name for file in config.files] == ["tocsin.yml", "melody-meter.yml", "small.yml"]
    assert config.hash == hashlib.sha256(b"".join(file.read_bytes() for file in config.files)).hexdigest()


def test_secrets_are_masked_and_their_files_are_named() -> None:
    config = load(GOOD / "tocsin.yml")
    shown = config.masked()
    text = json.dumps(shown)
    assert "tenant-7" not in text
    assert "9f86d081" not in text
    assert shown["process"]["source"]["auth"]["headers"] == {"X-Scope-OrgID": "<secret>"}
    assert [p["token_hash"] for p in shown["process"]["principals"]] == ["<secret>", None, None]
    assert shown["process"]["source"]["auth"]["basic"]["password_file"] == str(GOOD / "secrets/password")
    assert shown["services"][0]["signals"]["utilization"]["alert"]["action"]["for"] == "5m"
    assert shown["hash"] == config.hash


def test_files_are_taken_from_the_folder_of_the_process_file_and_not_read(write: Write) -> None:
    path = write("source: {url: http://a, auth: {bearer_file: nowhere/token}}\nservices: [service.yml]\n")
    assert load(path).process.source.auth.bearer_file == str(path.parent / "nowhere/token")


def test_an_absolute_path_stays_as_it_is(write: Write) -> None:
    path = write("source: {url: http://a, auth: {bearer_file: /etc/tocsin/token}}\nservices: [service.yml]\n")
    assert load(path).process.source.auth.bearer_file == "/etc/tocsin/token"


def test_every_fault_of_every_file_is_reported_at_once(write: Write) -> None:
    path = write(
        """\
        source: {url: localhost:9090, kind: promethus}
        services: [a.yml, b.yml, c.yml, nowhere.yml]
        calendars: {office: {time_zone: Mars, multipliers: [{times: 3}]}}
        maintenance: [{name: x, on: never}, {name: y, services: [nobody]}]
        """,
        a="""\
        service: a
        signals:
          one: {expr: 'sum(', step: 90s, calendar: office}
          two: {expr: up, window: 5.5, min_samples: 20, interval: 60, step: 90s, calendar: ofice, unknown: }
        """,
        b="service: [\n",
        c="signals: {three: {expr: up, normal: [2, 1], detect: {}}, four: 4}\n",
    )
    assert [": ".join(fault.split(": ")[:2]) for fault in faults(path)] == [
        "a.yml:3:15: signals.one.expr",
        "a.yml:3:29: signals.one.step",
        "a.yml:4:27: signals.two.window",
        "a.yml:4:59: signals.two.interval",
        "a.yml:4:84: signals.two.calendar",
        "a.yml:4:91: signals.two.unknown",
        "b.yml:2:1: (file)",
        "c.yml:1:1: service",
        "c.yml:1:37: signals.three.normal",
        "c.yml:1:53: signals.three.detect",
        "c.yml:1:64: signals.four",
        "tocsin.yaml:1:15: source.url",
        "tocsin.yaml:1:37: source.kind",
        "tocsin.yaml:2:33: services[3]",
        "tocsin.yaml:3:33: calendars.office.time_zone",
        "tocsin.yaml:4:29: maintenance[0].on",
        "tocsin.yaml:4:37: maintenance[1]",
    ]


def test_a_default_that_replaces_a_bad_value_is_never_found_wrong_itself(write: Write) -> None:
    signal = "{expr: up, window: x, min_samples: 400, interval: 7, step: 90s, forecast: {horizon: 100s}}"
    assert [fault.split(": ")[1] for fault in faults(write(service=f"service: a\nsignals: {{s: {signal}}}\n"))] == [
        "signals.s.window",
        "signals.s.interval",
        "signals.s.forecast.horizon",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere.yml", "found no file that can be read (No such file or directory), expected a YAML file"),
        (".", "found a directory, expected a file"),
        ("a\0b", "found no file that can be read (not a path), expected a YAML file"),
    ],
)
def test_what_is_no_file_is_one_clear_fault(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name)
    assert [fault.message for fault in caught.value.faults] == [expected]


def test_a_device_is_not_read() -> None:
    with pytest.raises(ConfigError, match="found something else, expected a file"):
        load("/dev/zero")


def test_a_file_of_more_than_four_megabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yml").write_bytes(b"#" * 5_000_000)
    assert faults(tmp_path / "tocsin.yml") == ["tocsin.yml:1:1: (file): found more than 4000000 bytes, expected fewer"]


def test_patterns_match_sorted_once_and_never_the_process_file(tmp_path: Path) -> None:
    for name in ("b", "a", "sub/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yml").write_text(f"service: {name[-1]}\nsignals: {{up: {{expr: up}}}}\n")
    path = tmp_path / "tocsin.yml"
    path.write_text(f"source: {{url: http://a}}\nservices: ['*.yml', '**/*.yml', '{tmp_path}/sub/c.yml', '*']\n")
    assert [file.relative_to(tmp_path).as_posix() for file in load(path).files] == [
        "tocsin.yml",
        "a.yml",
        "b.yml",
        "sub/c.yml",
    ]


def test_a_raw_counter_is_a_warning(write: Write) -> None:
    config = load(write(service="service: a\nsignals: {s: {expr: '(jobs_total{code=\"5\"})'}}\n"))
    assert [f"{w.line}:{w.column}: {w.path}: {w.message}" for w in config.warnings] == [
        "2:21: signals.s.expr: found the counter jobs_total by itself, expected its rate: rate(jobs_total[5m])"
    ]


def test_what_the_parser_cannot_read_is_a_warning_where_the_language_is_larger(write: Write) -> None:
    process = "source: {url: http://a, kind: victoriametrics}\nservices: [service.yml]\n"
    config = load(write(process, service="service: a\nsignals: {s: {expr: 'default_rollup(up)'}}\n"))
    assert [w.message for w in config.warnings] == [
        "found no PromQL (unknown function with name 'default_rollup'), expected an expression that gives a vector"
    ]


@pytest.mark.parametrize(
    "expr",
    [
        '{"http.server.duration"}',
        'sum by ("service.name") (rate({"http.requests", "code"=~"5.."}[5m]))',
        "holt_winters(up[1h], 0.1, 0.1)",
        'label_replace(up, "a", "holt_winters(", "b", "smoothed")',
        "rate(up[5m] anchored)",
        "up smoothed",
        "up offset 5m @ end()",
        " + ".join(["up"] * 400),
    ],
)
def test_promql_of_old_and_new_servers_is_accepted(write: Write, expr: str) -> None:
    path = write(service=f"service: a\nsignals: {{s: {{expr: {json.dumps(expr)}}}}}\n")
    assert load(path).services[0].signals["s"].expr == expr


def test_a_url_with_a_bad_address_or_a_port_of_letters_is_refused(write: Write) -> None:
    for url in ("http://[::1", "http://a:port", "ftp://a", "http://a b", "//a", "http://:9090"):
        path = write(f"source: {{url: '{url}'}}\nservices: [service.yml]\n")
        assert "expected a URL such as" in faults(path)[0], url


def test_no_secret_is_shown_in_a_fault(write: Write) -> None:
    path = write(
        """\
        source: {url: 'https://me:hunter2@a', auth: {headers: {Authorization: [hunter2]}}}
        services: [service.yml]
        principals: [{name: a, token_hash: hunter2, scopes: [webhook]}]
        """
    )
    found = faults(path)
    assert len(found) == 3
    assert "hunter2" not in "".join(found)


def test_a_secret_is_read_without_the_newlines_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" s3cret \r\n\n")
    assert read_secret(str(tmp_path / "token")) == " s3cret "


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"\n", "it is empty"),
        (b"\xff", "it is no text in UTF-8"),
        (b"x" * (MAX_BYTES + 1), "it is larger than 65536 bytes"),
    ],
)
def test_a_secret_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretError, match=re.escape(f"cannot read the secret in {path}: {reason}")):
        read_secret(str(path))


def test_paths_read_as_people_write_them() -> None:
    assert show_path(("a", 0, "b c", "", "d")) == "a[0]['b c'][''].d"
    assert str(Fault("f", 1, 2, show_path(()), "m")) == "f:1:2: (file): m"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300) | st.text(alphabet="ab:-[]{}&*!|>\"'#,?%@ \n\t0.~", max_size=200).map(str.encode)
)
def test_arbitrary_bytes_give_a_configuration_or_its_faults(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tocsin.yml").write_bytes(content)
    with pytest.raises(ConfigError):
        load(tmp_path / "tocsin.yml")


SCRAPS = [
    *(b"null", b".nan", b"-.inf", b"1e999", b"true", b"0x10", b"-1", b"0", b"10y", b"5e-324", b"*a", b"!!int "),
    *(b"\n", b" ", b"  ", b":", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"'", b'"', b"\\0", b"%", b"#", b"<<: ", b"? "),
    *(b"|\n", b"\x00", b"\xff", b"\xf0\x9f\x8e\xb5", b"9" * 40, b"(" * 100, b"24:00-24:00", b"2026-13-01"),
    *(b"9999-12-31T23:59:59.999999-23:59", b"0001-01-01T00:00:00+23:59"),
]


def outcome(path: Path) -> list[str]:
    """Faults of a configuration that may have some."""
    try:
        load(path).masked()
    except ConfigError as error:
        return list(map(str, error.faults)) or ["no fault named"]
    return []


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_good_files_give_a_configuration_or_its_faults(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(GOOD, folder)
    for name in data.draw(st.sets(st.sampled_from(["tocsin.yml", "services/melody-meter.yml"]), min_size=1)):
        content = (folder / name).read_bytes()
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(content)))
            until = at + data.draw(st.integers(0, 12))
            content = content[:at] + data.draw(st.sampled_from(SCRAPS)) + content[until:]
        (folder / name).write_bytes(content)
    text = "\n".join(outcome(folder / "tocsin.yml"))
    assert not re.search(r"Input should|pydantic|should match|Value error|not understood|no fault named", text)
