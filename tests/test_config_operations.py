"""Parameters of the operations: what may be written, and what is said of the rest."""

from typing import Any

import pytest
from pydantic import ValidationError

from tocsin.config.operations import PARAMETERS, HttpParameters, PostgresPoolRecycle
from tocsin.respond.operations import OPERATIONS

HTTP = {"url": "https://ops.example.com/x"}
POSTGRES = {"url": "postgresql://ops@db.example.com:5432/app", "idle_longer_than": "10m"}


def faults(model: type[Any], values: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in caught.value.errors()]


def test_each_operation_has_parameters_and_each_parameters_an_operation() -> None:
    assert {name: kind.parameters for name, kind in OPERATIONS.items()} == dict(PARAMETERS)


def test_what_is_not_written_has_a_careful_default() -> None:
    http = HttpParameters.model_validate(HTTP)
    assert (http.method, http.body, http.token_file, http.headers, http.expect, http.timeout) == (
        "POST",
        None,
        None,
        {},
        (),
        10.0,
    )
    postgres = PostgresPoolRecycle.model_validate(POSTGRES)
    assert (postgres.idle_longer_than, postgres.include_idle_in_transaction) == (600.0, False)
    assert (postgres.application, postgres.user, postgres.max_connections, postgres.timeout) == (None, None, 10, 30.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"url": "https://u:canary@h/"}, "url: Value error, found no address that can be called"),
        ({"url": "https://127.1/"}, "url: Value error, found no address that can be called"),
        ({"method": "GET"}, "method: Input should be 'POST', 'PUT', 'PATCH' or 'DELETE'"),
        ({"headers": {"X Y": "canary"}}, "headers: Value error, found the header 'X Y', expected a name without"),
        ({"headers": {"X": "canary\r\nY: 1"}}, "headers: Value error, found other characters in the header 'X'"),
        ({"headers": {"X": "cänary"}}, "headers: Value error, found other characters in the header 'X'"),
        ({"headers": {"Host": "canary"}}, "headers: Value error, found the header 'Host', expected one that"),
        ({"headers": {"idempotency-key": "1"}}, "headers: Value error, found the header 'idempotency-key'"),
        ({"headers": {"Proxy-Authorization": "1"}}, "headers: Value error, found the header 'Proxy-Authorization'"),
        (
            {"headers": {"authorization": "canary"}, "token_file": "t"},
            ": Value error, found the header 'Authorization'",
        ),
        ({"body": [1]}, "body: Input should be a valid dictionary"),
        ({"body": {"a": float("nan")}}, "body.a.float: Input should be a finite number"),
        ({"expect": [199]}, "expect.0: Input should be greater than or equal to 200"),
        ({"timeout": "0s"}, "timeout: Input should be greater than 0"),
        ({"timeout": "11m"}, "timeout: Input should be less than or equal to 600"),
        ({"retries": 1}, "retries: Extra inputs are not permitted"),
    ],
)
def test_http_says_what_is_wrong_and_repeats_no_value(changed: dict[str, Any], message: str) -> None:
    (fault,) = faults(HttpParameters, {**HTTP, **changed})
    assert fault.startswith(message)
    assert "canary" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ops:canary@db/app",
        "postgresql://ops@db/app?password=canary",
        "postgresql://ops@db/app?options=-c%20x=canary",
        "postgresql://db/app",
        "postgresql://ops@/app",
        "postgresql://ops@db",
        "sqlite:////var/lib/canary.db",
        "https://ops@db/app",
        "",
    ],
)
def test_postgres_wants_a_url_with_all_but_the_password(url: str) -> None:
    (fault,) = faults(PostgresPoolRecycle, {**POSTGRES, "url": url})
    assert fault.startswith("url: Value error, found no address of a database, expected postgresql://USER@HOST:PORT/")
    assert "canary" not in fault


@pytest.mark.parametrize("key", ["url", "idle_longer_than"])
def test_postgres_has_no_default_for_what_it_ends(key: str) -> None:
    assert faults(PostgresPoolRecycle, {k: v for k, v in POSTGRES.items() if k != key}) == [f"{key}: Field required"]


def test_postgres_bounds_its_numbers() -> None:
    assert faults(PostgresPoolRecycle, {**POSTGRES, "idle_longer_than": "0s", "max_connections": 0}) == [
        "idle_longer_than: Input should be greater than 0",
        "max_connections: Input should be greater than or equal to 1",
    ]
