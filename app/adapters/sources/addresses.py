"""The network addresses that may be connected to on a caller's behalf."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

# Networks that look public but are used privately.
_REFUSED: tuple[Network, ...] = (
    IPv4Network("168.63.129.16/32"),  # Azure's metadata and DNS
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata
    IPv4Network("192.88.99.0/24"),  # relays into 6to4
    IPv6Network("2001::/32"),  # Teredo: has an IPv4 address inside, and is retired
    IPv6Network("2002::/16"),  # 6to4: the same
    IPv6Network("3fff::/20"),  # documentation
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Permits only public unicast addresses, which the caller could reach anyway."""

    exempt: tuple[str, ...] = ()
    """Networks in CIDR notation that are let pass although they are not public. For tests,
    whose servers are on the loopback; no setting leads here."""

    def permits(self, text: str) -> bool:
        """Whether ``text``, an address as the resolver gave it, may be connected to."""
        try:
            address = embedded(ip_address(text))
        except ValueError:
            return False
        if any(address in ip_network(network) for network in self.exempt):
            return True
        return is_public(address)


def embedded(address: Address) -> Address:
    """Return the IPv4 address that is written as ``address``, or ``address`` itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        # NAT64: an IPv6-only network's resolver writes a host's IPv4 address like this.
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether ``address`` is unicast on the open internet."""
    if isinstance(address, IPv6Address) and address not in _UNICAST_V6:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _REFUSED)
    )
