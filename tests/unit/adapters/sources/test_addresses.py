"""Which addresses the service may connect to for a caller."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.sources.addresses import AddressPolicy

PUBLIC = ["8.8.8.8", "52.94.236.248", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]

FORBIDDEN = {
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "this host": "0.0.0.0",
    "private 10": "10.0.0.1",
    "private 172": "172.31.255.255",
    "private 192": "192.168.1.1",
    "shared": "100.64.0.1",
    "Alibaba's metadata": "100.100.100.200",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "containers' credentials": "169.254.170.2",
    "Azure's metadata": "168.63.129.16",
    "Oracle's metadata": "192.0.0.192",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.1",
    "multicast": "224.0.0.1",
    "public multicast": "233.252.1.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "loopback v6": "::1",
    "unspecified v6": "::",
    "unique local v6": "fd00::1",
    "metadata v6": "fd00:ec2::254",
    "link-local v6": "fe80::1",
    "link-local v6 with its zone": "fe80::1%eth0",
    "site-local v6": "fec0::1",
    "multicast v6": "ff02::1",
    "global multicast v6": "ff0e::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped metadata": "::ffff:169.254.169.254",
    "mapped, in hexadecimal": "::ffff:a9fe:a9fe",
    "compatible loopback": "::127.0.0.1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::1",
    "6to4 of a private address": "2002:a00:1::",
    "Teredo": "2001:0:a00:1::",
    "documentation v6": "2001:db8::1",
    "newer documentation v6": "3fff::1",
    "segment routing v6": "5f00::1",
    "no address": "localhost",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address):
    assert AddressPolicy().permits(address)


@pytest.mark.parametrize("address", FORBIDDEN.values(), ids=FORBIDDEN)
def test_private_addresses_are_not_public(address):
    assert not AddressPolicy().permits(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_every_notation(address):
    policy = AddressPolicy()
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    through_nat64 = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))

    expected = policy.permits(str(address))
    assert policy.permits(str(mapped)) is expected
    assert policy.permits(str(through_nat64)) is expected


@given(st.ip_addresses())
def test_nothing_private_is_ever_permitted(address):
    if AddressPolicy().permits(str(address)):
        assert address.is_global or address in ipaddress.ip_network("64:ff9b::/96")
        assert not address.is_multicast


def test_an_exemption_covers_exactly_its_network():
    policy = AddressPolicy(exempt=("127.0.0.0/8",))

    assert policy.permits("127.0.0.1")
    assert policy.permits("::ffff:127.0.0.1")
    assert not policy.permits("10.0.0.1")
    assert not policy.permits("::1")
