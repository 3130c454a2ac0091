"""IPv4 addresses inside IPv6 ones: a network that is listed allows none of them that is not."""

from ipaddress import ip_address

import pytest

from tocsin.guard.addresses import Allowed, Refused

#: Ways to write an IPv4 address in one of IPv6, each with a network that holds it.
WRAPPED = (
    ("64:ff9b::/96", "64:ff9b::{hex}"),
    ("64:ff9b:1::/48", "64:ff9b:1::{hex}"),
    ("::ffff:0:0/96", "::ffff:{four}"),
    ("::ffff:0:0:0/96", "::ffff:0:{hex}"),
    ("::/96", "::{hex}"),
    ("2002::/16", "2002:{hex}::1"),
    ("fd00::/16", "fd00::5efe:{hex}"),
    ("fd00::/16", "fd00::200:5efe:{hex}"),
    ("2001::/32", "2001:0:{hex}::f7f7:f7f7"),
    ("2001::/32", "2001:0:808:808::{inverse}"),
)


def wrapped(form: str, four: str) -> str:
    """This IPv4 address in that form."""
    number = int(ip_address(four))
    halves = [f"{n >> 16:x}:{n & 0xFFFF:x}" for n in (number, number ^ 0xFFFFFFFF)]
    return form.format(four=four, hex=halves[0], inverse=halves[1])


@pytest.mark.parametrize(("network", "form"), WRAPPED)
def test_a_network_that_is_listed_leads_to_no_address_that_is_not(network: str, form: str) -> None:
    allowed = Allowed(["ops.example.com", network])
    for inner in ("169.254.169.254", "100.100.100.200", "168.63.129.16", "127.0.0.1", "0.1.2.3", "169.254.1.1"):
        address = wrapped(form, inner)
        with pytest.raises(Refused, match="address_not_allowed"):
            allowed.addresses([address], 80)
        with pytest.raises(Refused, match="address_not_allowed"):
            allowed.url(f"http://[{address}]/")
    plain = wrapped(form, "9.9.9.9")
    assert allowed.addresses([plain], 80) == (ip_address(plain),)


@pytest.mark.parametrize(("network", "form"), WRAPPED)
def test_an_address_in_another_is_allowed_where_both_are_listed(network: str, form: str) -> None:
    address = wrapped(form, "169.254.169.254")
    for inner, listed in (("169.254.169.254", True), ("169.254.0.0/16", False), ("169.254.169.254:81", False)):
        allowed = Allowed([network, inner])
        if listed:
            assert allowed.addresses([address], 80) == (ip_address(address),)
        else:
            with pytest.raises(Refused):
                allowed.addresses([address], 80)


def test_this_machine_in_ipv6_can_be_listed() -> None:
    for listed in ("::1", "::"):
        assert Allowed([listed]).addresses([listed], 80) == (ip_address(listed),)
