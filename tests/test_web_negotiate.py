"""Which format an Accept header asks for."""

import pytest

from tocsin.web.negotiate import wants_openmetrics

OPENMETRICS = "application/openmetrics-text"


@pytest.mark.parametrize(
    "accept",
    [
        OPENMETRICS,
        f"{OPENMETRICS};version=1.0.0",
        f'{OPENMETRICS}; version="0.0.1"; q=0.2',
        f"{OPENMETRICS.upper()} ; VERSION=1.0.0 ; Q=0.001",
        f"{OPENMETRICS};q=0.5,text/plain;q=0.5",
        f"text/plain,{OPENMETRICS}",
        f"text/plain;q=0,{OPENMETRICS};q=0.1,*/*;q=0.9",
        f"{OPENMETRICS};q=0,{OPENMETRICS};version=1.0.0;q=1",
        f"{OPENMETRICS};q=much,text/plain;q=0.3",
        # Prometheus 2.42, and 3 with its own order of protocols.
        f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.6,{OPENMETRICS};version=0.0.1;q=0.5,text/plain;q=0.4",
    ],
)
def test_openmetrics_is_for_those_who_weigh_it_no_less_than_text(accept: str) -> None:
    assert wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain;version=0.0.4",
        f"{OPENMETRICS};q=0",
        f"{OPENMETRICS}; q=0.000, */*",
        f"{OPENMETRICS};version=1.0.0;q=0.0",
        f"{OPENMETRICS};q=0.4,text/plain;q=0.5",
        f"{OPENMETRICS};q=0.4,text/*",
        f"{OPENMETRICS};q=0.1,*/*;q=0.2",
        f"{OPENMETRICS};version=2.0.0",
        "application/openmetrics-text-v9",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        ",;q=,=;",
    ],
)
def test_everybody_else_gets_the_text_format(accept: str) -> None:
    assert not wants_openmetrics(accept)
