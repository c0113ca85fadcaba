"""Where a URL leads in the network: the addresses of its host, looked up once and checked."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from scene_batch.object_store.causes import UnansweredError

_Addresses: TypeAlias = tuple[tuple[int, tuple[str | int | bytes, ...]], ...]
_PORTS = {"http": 80, "https": 443}
_SPECIAL = tuple(
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "2001::/23", "fec0::/10"))
)
"""Not of the public Internet, although Python 3.11 takes some of them for it."""
_WRAPS: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
"""Addresses that stand for one of IPv4, which begins so many bits before their end."""


@dataclass(frozen=True)
class Place:
    """A server, and the address that leads there."""

    host: str
    port: int
    is_encrypted: bool
    is_inside: bool
    """Whether one of its addresses is not of the public Internet."""
    proxy: tuple[str, int] | None = None
    """What is asked in its stead."""
    addresses: _Addresses = field(default=(), compare=False)
    """Families and addresses of sockets."""

    @property
    def is_proxied(self) -> bool:
        """Whether a proxy is asked."""
        return self.proxy is not None

    def connect(self, seconds: float) -> socket.socket:
        """Connect to the first address that answers; OSError where none does."""
        failure: OSError = ConnectionRefusedError()
        for family, address in self.addresses:
            try:
                raw = socket.socket(family, socket.SOCK_STREAM)
                try:
                    raw.settimeout(seconds)
                    raw.connect(address)
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if self.proxy and self.is_encrypted:
                        _open_tunnel(raw, self.host, self.port)
                except BaseException:
                    raw.close()
                    raise
            except OSError as error:
                failure = error
            else:
                return raw
        raise failure


def find(parts: SplitResult, *, proxies: bool = True) -> Place:
    """Look up the server of a URL; ``proxies`` whether one may be asked in its stead.

    Raises:
        UnansweredError: It is not known.
        ValueError: Its name is none.
    """
    host = _name(parts.hostname or "")
    port = parts.port or _PORTS[parts.scheme]
    proxy = _proxy(parts.scheme, host) if proxies else None
    found: _Addresses = ()
    try:
        found = _look_up(host, port)
    except OSError:
        if proxy is None:
            raise UnansweredError("unknown host") from None
    inside = any(not is_public(str(sockaddr[0])) for _, sockaddr in found)
    if proxy is not None:
        with suppress(OSError):
            found = _look_up(*proxy)
    return Place(host, port, parts.scheme == "https", inside, proxy, found)


def _name(host: str) -> str:
    """A host's name as networks know it; ValueError if it is none."""
    host = unquote(host)
    if ":" in host:
        return str(IPv6Address(host))
    host = host.encode("idna").decode()
    if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise ValueError("its host is no name")
    if re.fullmatch(r"[0-9]+", host.rstrip(".").rpartition(".")[2]):
        return str(IPv4Address(host))
    return host


def _look_up(host: str, port: int) -> _Addresses:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple((int(family), tuple(sockaddr)) for family, _, _, _, sockaddr in found)


def is_public(text: str) -> bool:
    """Whether an address is of the public Internet, whatever it is wrapped in."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        for network, shift in _WRAPS:
            if address in network:
                return is_public(str(IPv4Address(int(address) >> shift & 0xFFFFFFFF)))
    special = any(address.version == network.version and address in network for network in _SPECIAL)
    return address.is_global and not address.is_multicast and not special


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    """The proxy that the environment names for a host."""
    name = getproxies().get(scheme)
    if not name or proxy_bypass(host):
        return None
    parts = urlsplit(name if "://" in name else f"http://{name}")
    return (parts.hostname, parts.port or 80) if parts.hostname else None


def _open_tunnel(raw: socket.socket, host: str, port: int) -> None:
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    raw.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = raw.recv(1)
        head += byte
        if not byte or len(head) > 1 << 16:
            raise ConnectionError
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise ConnectionError
