"""Addresses of stores that are accepted, and what is read from them."""

import pytest

from tocsin.config.store_url import DEFAULT, Location, parse_store_url


@pytest.mark.parametrize(
    ("url", "location", "called"),
    [
        (DEFAULT, Location("sqlite", "/var/lib/tocsin/tocsin.db"), "/var/lib/tocsin/tocsin.db"),
        ("sqlite:////a%20b/c.db", Location("sqlite", "/a b/c.db"), "/a b/c.db"),
        (
            "postgresql://tocsin@db.example.com:5433/alerts?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            Location(
                "postgresql",
                user="tocsin",
                host="db.example.com",
                port=5433,
                database="alerts",
                options={"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"},
            ),
            "alerts on db.example.com",
        ),
        (
            "postgresql:///alerts?host=/run/postgresql",
            Location("postgresql", database="alerts", options={"host": "/run/postgresql"}),
            "alerts on /run/postgresql",
        ),
        ("postgresql://[::1]/a", Location("postgresql", host="::1", database="a"), "a on ::1"),
    ],
)
def test_an_address_is_read(url: str, location: Location, called: str) -> None:
    assert parse_store_url(url) == location
    assert str(location) == called


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tocsin:canary@db/tocsin",
        "postgresql://tocsin@db/tocsin?password=canary",
        "postgresql://tocsin@db/tocsin?passfile=canary",
        "postgresql://tocsin:canary@db:port/tocsin",
        "postgresql+psycopg://tocsin:canary@db/tocsin",
        "sqlite://tocsin:canary@db/tocsin",
    ],
)
def test_no_message_repeats_a_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^found") as caught:
        parse_store_url(url)
    assert "canary" not in str(caught.value)
