"""The address guard: which addresses that users type may be called.

https only, and no private, loopback, link-local, metadata or otherwise special address: checked in the URL when it is saved, and
on the address really connected to at each connection (`shared/http.py`), so that neither DNS nor a redirect can lead elsewhere.
A deployment may allow single origins by name (`http://127.0.0.1:8025`), which are then exempt.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from shared.errors import BadRequest

_PORTS = {"https": 443, "http": 80}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_INSIDE = frozenset(
    {"arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private", "svc"}
)
"""Last labels of names that are never public: RFC 6761, 6762 and 8375, ICANN's `.internal` (2024), and what is never given out
because so many use it inside. Most turn up in the look-up as what they are; clouds answer some from public addresses."""
_WRAPPERS = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""IPv6 networks whose last 32 bits are an IPv4 address: NAT64 (RFC 6052) and the old IPv4-compatible ones (RFC 4291)."""
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given out (RFC 4291). Python also calls global what is not, and what was once site-local."""
_SPECIAL_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2002::/16", "2001:db8::/32", "3fff::/20")))
"""Protocols and tunnels (RFC 2928, 4380, 7343 and 3056), and documentation (RFC 3849 and 9637)."""
_SPECIAL_4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
"""The same for IPv4 (RFC 6890 and 7526), and what serves metadata inside of Azure though its address is public."""
_NUMERIC = re.compile(r"^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?$")
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_FORBIDDEN = re.compile(r"[^!-~]|\\")


def origin(url: str) -> tuple[str, int]:
    """Host (lower-case) and port of a URL. Raises BadRequest if it is not an absolute http(s) URL."""
    parts = _split(url)
    return (parts.hostname or "").removesuffix("."), parts.port or _PORTS[parts.scheme]


def without_placeholders(url: str) -> str:
    """The URL of an integration with an `x` for each placeholder in its path: what of it can be checked when it is saved."""
    return _PLACEHOLDER.sub("x", url)


def allowed(origins: Iterable[str]) -> frozenset[tuple[str, str, int]]:
    """The deployment's own exemptions, ready to compare: scheme, host, port."""
    return frozenset((urlsplit(one).scheme, *origin(one)) for one in origins)


def check_url(url: str, origins: Iterable[str] = (), *, field: str = "url") -> None:
    """Raises BadRequest naming `field` if this URL may not be called. Names are looked up only when a connection is made."""
    try:
        parts = _split(url)
        host, port = origin(url)
    except BadRequest as error:
        raise BadRequest(error.reason, field=field) from error
    if (parts.scheme, host, port) in allowed(origins):
        return
    if parts.scheme != "https":
        raise BadRequest(f"{field} must begin with https://", field=field)
    if not _may_name(host):
        raise BadRequest(f"{field} must name a public host", field=field)


def _split(url: str) -> SplitResult:
    if _FORBIDDEN.search(url):
        raise BadRequest("the URL must be ASCII, without spaces, backslashes and control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRequest("the URL is malformed") from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise BadRequest("the URL must be absolute: https://host/path")
    if parts.username is not None or parts.password is not None:
        raise BadRequest("the URL must not hold a user or password")
    return parts


def _may_name(host: str) -> bool:
    """Whether a URL may name this host: a public IP address in its usual spelling, or a dotted name that is not a number."""
    try:
        # What stands after a % is an interface of ours: no address that others have.
        return "%" not in host and is_public(ipaddress.ip_address(host))
    except ValueError:
        # 2130706433, 0x7f.1 and 127.1 are loopback to the C library, though they are no addresses to us.
        if not _HOST.fullmatch(host) or _NUMERIC.match(host):
            return False
        return host.rpartition(".")[2] not in _INSIDE


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether this address is on the public internet, also when an IPv4 address is wrapped in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and any(address in network for network in _WRAPPERS):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        return address.is_global and address in _UNICAST and not any(address in network for network in _SPECIAL_6)
    return address.is_global and not address.is_multicast and not any(address in network for network in _SPECIAL_4)
