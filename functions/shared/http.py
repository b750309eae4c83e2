"""The only place that talks HTTP: with a deadline, a size limit, no redirects, no proxies, and the address guard."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import httpx

from shared.addresses import allowed, check_url, is_public, origin
from shared.errors import BadRequest, Misconfigured, Transient, Unknown
from shared.exchange import Request, Response

MAX_ANSWER = 2_000_000
"""Bytes of an answer that we are willing to read."""

_USER_AGENT = "sendbridge"

Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses that a name stands for now. Raises OSError if there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Http:
    """Sends requests. Keeps connections open between them, so make one per process."""

    def __init__(
        self,
        allowed_origins: tuple[str, ...] = (),
        *,
        resolver: Resolver = resolve,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origins = allowed_origins
        self._monotonic = monotonic
        self._backend = _GuardedBackend(allowed_origins, resolver, monotonic)
        self._client = httpx.Client(
            transport=_Transport(self._backend), trust_env=False, follow_redirects=False, headers={"user-agent": _USER_AGENT}
        )

    def send(self, request: Request) -> Response:
        """Sends one request and reads the whole answer, whatever its status.

        Raises Transient if it surely was not processed, Unknown if it may have been, Misconfigured if the address may not
        be called or its certificate is not valid.
        """
        try:
            check_url(request.url, self._origins)
        except BadRequest as error:
            raise Misconfigured(error.reason) from error
        started = self._monotonic()
        self._backend.deadline = started + request.timeout
        where = origin(request.url)[0]
        try:
            status, headers, body = self._exchange(request)
        except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError):
            # Nothing that quotes the value: it may be a secret.
            raise Misconfigured(f"{where}: the URL or a header has characters that HTTP does not allow") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if _is_certificate(error):
                raise Misconfigured(f"{where}: its certificate is not valid") from None
            raise Transient(f"{where}: no connection ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Unknown(f"{where}: no answer ({type(error).__name__})") from None
        return Response(status, headers, body, self._monotonic() - started)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._client.close()

    def _exchange(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        headers = {"accept-encoding": "identity", **request.headers}
        # Two integrations may call the same host for two accounts: what one was given must not speak for the other.
        self._client.cookies.clear()
        with self._client.stream(
            request.method, request.url, headers=headers, content=request.body, timeout=request.timeout
        ) as answer:
            body = bytearray()
            # As it came: what is compressed although we did not ask for it could grow a thousandfold before it is counted.
            for part in answer.iter_raw():
                body += part
                if len(body) > MAX_ANSWER:
                    raise httpx.ReadError("the answer is too large")
            return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, bytes(body)


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Transport(httpx.HTTPTransport):
    """httpx's own transport, on connections made by the guard."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        super().__init__(trust_env=False)
        # httpx has no public way to hand a network backend to its transport; httpcore's own constructor has.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=5,
            network_backend=backend,
        )


class _GuardedBackend(httpcore.SyncBackend):
    """Connects only to public addresses, looking a name up itself and connecting to just the address that it checked."""

    def __init__(self, allowed_origins: Iterable[str], resolver: Resolver, monotonic: Callable[[], float]) -> None:
        self._exempt = {(host, port) for _, host, port in allowed(allowed_origins)}
        self._resolver = resolver
        self._monotonic = monotonic
        self.deadline = float("inf")

    def left(self) -> float:
        """Seconds until the present request's deadline; none are left from then on, even if the other side is quick."""
        return self.deadline - self._monotonic()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects to the first address of `host` that answers."""
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in self._addresses(host, port):
            try:
                stream = super().connect_tcp(
                    address, port, _some(self.left(), httpcore.ConnectTimeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Deadline(stream, self)
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolver(host, port)
        except OSError as error:
            raise httpcore.ConnectError("the name is unknown") from error
        if (host, port) in self._exempt:
            return addresses
        for address in addresses:
            if not is_public(ipaddress.ip_address(address.partition("%")[0])):
                raise Misconfigured(f"{host} is not a public host")
        return addresses


def _some(left: float, otherwise: type[httpcore.TimeoutException]) -> float:
    if left <= 0:
        raise otherwise("the deadline has passed")
    return left


class _Deadline(httpcore.NetworkStream):
    """A stream on which no operation lasts beyond the request's deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _GuardedBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _some(self._backend.left(), httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _some(self._backend.left(), httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _some(self._backend.left(), httpcore.ConnectTimeout)
        return _Deadline(self._stream.start_tls(ssl_context, server_hostname, left), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
