"""The only place that talks HTTP: with a deadline, a size limit, no redirects, no proxies, and the address guard.

Each request has a connection to itself while it lasts, so any number of threads may send at once.
"""

from __future__ import annotations

import ipaddress
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import certifi

from shared.addresses import allowed, check_url, is_public, origin
from shared.clock import Clock, utc_now
from shared.errors import BadRequest, Misconfigured, Transient, Unknown
from shared.exchange import Request, Response
from shared.http1 import Answer, Malformed, read_answer, request_bytes

MAX_ANSWER = 2_000_000
"""Bytes of an answer that we are willing to read."""

_URL = re.compile(r"([^/?#]*//[^/?#]*)([^#]*)")
_AT_ONCE = 65_536
_IDLE = 4
"""Seconds for which a connection is kept for the next request: less than the shortest time after which the usual servers close
one (5 s). A request that meets such a closing would have no answer, and perhaps an effect."""
_KEPT = 32
"""Idle connections to one place."""

Resolver = Callable[[str, int], list[str]]
Left = Callable[[], float]
"""Seconds left until a request's deadline. Raises TimeoutError when none are."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses that a name stands for now. Raises OSError if there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to this address. Raises OSError if there is none within so many seconds."""
    dialled = socket.create_connection((address, port), seconds)
    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return dialled


def secure(dialled: socket.socket, host: str, left: Left) -> socket.socket:
    """The connection with TLS on it, its other side proven to be `host`. Raises OSError."""
    try:
        dialled.settimeout(left())
        return _tls().wrap_socket(dialled, server_hostname=host)
    except BaseException:
        dialled.close()
        raise


@lru_cache(1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True)
class _Place:
    """Where requests go."""

    secure: bool
    host: str
    port: int
    exempt: bool
    """Whether the deployment allows this one by name."""

    @property
    def named(self) -> str:
        """As the `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class Http:
    """Sends requests. Keeps connections open between them, so make one per process; its threads share it."""

    def __init__(
        self,
        allowed_origins: tuple[str, ...] = (),
        *,
        resolver: Resolver = resolve,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = utc_now,
    ) -> None:
        self._origins = allowed_origins
        self._exempt = {(host, port) for _, host, port in allowed(allowed_origins)}
        self._monotonic = monotonic
        self._names = _Names(resolver)
        self._idle = _Idle(clock)
        self._place = lru_cache(256)(self._checked)

    def send(self, request: Request) -> Response:
        """Sends one request and reads the whole answer, whatever its status.

        Raises Transient if it surely was not processed, Unknown if it may have been, Misconfigured if the address may not
        be called or its certificate is not valid.
        """
        started = self._monotonic()
        beginning, target = _split(request.url)
        place = self._place(beginning)
        try:
            data = request_bytes(request.method, place.named, target, request.headers, request.body)
        except ValueError:
            # Nothing that quotes the value: it may be a secret.
            raise Misconfigured(f"{place.host}: the URL or a header has characters that HTTP does not allow") from None
        answer = self._exchange(place, request.method, data, self._until(started + request.timeout))
        return Response(answer.status, answer.headers, answer.body, self._monotonic() - started)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._idle.close()

    def _checked(self, url: str) -> _Place:
        """The place at the beginning of a URL, if it may be called."""
        try:
            check_url(url, self._origins)
        except BadRequest as error:
            raise Misconfigured(error.reason) from error
        host, port = origin(url)
        return _Place(url[:5].lower() == "https", host, port, (host, port) in self._exempt)

    def _until(self, deadline: float) -> Left:
        def left() -> float:
            seconds = deadline - self._monotonic()
            if seconds <= 0:
                raise TimeoutError("the deadline has passed")
            return seconds

        return left

    def _exchange(self, place: _Place, method: str, data: bytes, left: Left) -> Answer:
        connection = self._idle.take(place) or self._connected(place, left)
        try:
            answer = _asked(connection, method, data, left, place.host)
        except BaseException:
            connection.close()
            raise
        if answer.reusable:
            self._idle.put(place, connection)
        else:
            connection.close()
        return answer

    def _connected(self, place: _Place, left: Left) -> socket.socket:
        try:
            connection = self._dialled(place, left)
            return secure(connection, place.host, left) if place.secure else connection
        except ssl.SSLCertVerificationError:
            raise Misconfigured(f"{place.host}: its certificate is not valid") from None
        except (OSError, UnicodeError) as error:
            raise Transient(f"{place.host}: no connection ({type(error).__name__})") from None

    def _dialled(self, place: _Place, left: Left) -> socket.socket:
        """A connection to the first address that answers; each has its share of the time."""
        addresses = self._names.look_up(place.host, place.port, left)
        for address in () if place.exempt else addresses:
            if not is_public(ipaddress.ip_address(address.partition("%")[0])):
                raise Misconfigured(f"{place.host} is not a public host")
        failure = OSError("the name has no address")
        for index, address in enumerate(addresses):
            try:
                return dial(address, place.port, left() / (len(addresses) - index))
            except OSError as error:
                failure = error
        raise failure


def _split(url: str) -> tuple[str, str]:
    """What of a URL says where to go, and what to ask for there."""
    parts = _URL.match(url)
    return (parts[1], parts[2]) if parts else (url, "")


def _asked(connection: socket.socket, method: str, data: bytes, left: Left, host: str) -> Answer:
    """Sends a request and reads its answer."""
    whole = _sent(connection, data, left)

    def receive() -> bytes:
        connection.settimeout(left())
        return connection.recv(_AT_ONCE)

    try:
        answer = read_answer(method, receive, MAX_ANSWER)
    except (OSError, Malformed) as error:
        if not whole:
            raise Transient(f"{host}: the connection broke before the request was sent") from None
        raise Unknown(f"{host}: {error if isinstance(error, Malformed) else f'no answer ({type(error).__name__})'}") from None
    return answer if whole else Answer(answer.status, answer.headers, answer.body, reusable=False)


def _sent(connection: socket.socket, data: bytes, left: Left) -> bool:
    """Whether all of a request went out: only then can the other side have acted on it."""
    try:
        connection.settimeout(left())
        connection.sendall(data)
    except OSError:
        return False
    return True


class _Idle:
    """Connections that wait for the next request to their place. Safe under threads.

    Their age is told by the clock of the day: the other ones stand still while a function is frozen between invocations.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[_Place, list[tuple[datetime, socket.socket]]] = {}

    def take(self, place: _Place) -> socket.socket | None:
        """The connection that was used last, if it is still good."""
        now = self._clock()
        while True:
            with self._lock:
                kept = self._kept.get(place)
                if not kept:
                    return None
                since, connection = kept.pop()
            if 0 <= (now - since).total_seconds() < _IDLE and not _says_something(connection):
                return connection
            connection.close()

    def put(self, place: _Place, connection: socket.socket) -> None:
        """Keeps a connection, and closes those that nobody came for."""
        now = self._clock()
        with self._lock:
            self._kept.setdefault(place, []).append((now, connection))
            old = [kept.pop(0)[1] for kept in self._kept.values() if kept and self._is_old(kept, now)]
        for one in old:
            one.close()

    def _is_old(self, kept: list[tuple[datetime, socket.socket]], now: datetime) -> bool:
        return len(kept) > _KEPT or (now - kept[0][0]).total_seconds() >= _IDLE

    def close(self) -> None:
        """Closes all."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for connections in kept.values():
            for _, connection in connections:
                connection.close()


def _says_something(connection: socket.socket) -> bool:
    """Whether an idle connection was closed by the other side, or has what nobody asked for."""
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class _Names:
    """Looks names up within a deadline, which the system's own look-up does not know. Safe under threads."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[list[str]]] = {}

    def look_up(self, host: str, port: int, left: Left) -> list[str]:
        """The addresses of a host. Raises OSError (TimeoutError if it takes too long)."""
        if _is_address(host):
            return [host]
        with self._lock:
            found = self._running.get((host, port))
            if found is None:
                found = self._running[host, port] = Future()
                threading.Thread(target=self._run, args=(host, port, found), daemon=True).start()
        return found.result(left())

    def _run(self, host: str, port: int, found: Future[list[str]]) -> None:
        try:
            addresses = self._resolver(host, port)
        except BaseException as error:  # for whoever waits
            self._done(host, port)
            found.set_exception(error)
        else:
            self._done(host, port)
            found.set_result(addresses)

    def _done(self, host: str, port: int) -> None:
        with self._lock:
            del self._running[host, port]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
