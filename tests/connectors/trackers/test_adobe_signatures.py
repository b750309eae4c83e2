"""Who may post events of Adobe's, and how a registration is challenged."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Generator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.base import Post, Rejected
from connectors.trackers.adobe_io import KEYS
from connectors.trackers.base import Reply
from shared.errors import BadRequest, Transient
from shared.exchange import Request, Response, run
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.connectors.trackers.test_adobe_io import ADOBE, CLIENT, CLOUD, JOURNAL, NOW, ORGANIZATION, connector, tracker
from tests.sandbox.trackers.adobe_signed import key_path, pem, signed, trigger

SECRET = "secret-of-adobe"


def post(body: object, *, keys: tuple[int, ...] = (1, 2), headers: dict[str, str] | None = None) -> Post:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Post({**signed(raw, keys=keys), **(headers or {})}, raw)


class Host:
    """Adobe's host of keys, as the sandbox has it: the first two keys, and no other."""

    def __init__(self, *, down: tuple[str, ...] = (), **keys: bytes) -> None:
        self.asked: list[str] = []
        self.down = down
        self.keys = {key_path(1): pem(1), key_path(2): pem(2)} | {key_path(int(name[1:])): key for name, key in keys.items()}

    def __call__(self, request: Request) -> Response:
        self.asked.append(request.url)
        assert request.method == "GET"
        assert not request.headers
        path = request.url.removeprefix(KEYS)
        if path in self.down:
            raise Transient("no connection")
        found = self.keys.get(path)
        return Response(200, {}, found) if found else Response(404, {}, b"Not Found")


def verified(posted: Post, of: Tracker = ADOBE, host: Host | None = None) -> Host:
    host = host or Host()
    exchange = connector.verify(of, posted, lambda: NOW)
    if exchange is not None:
        run(exchange, host)
    return host


def refused(posted: Post, of: Tracker = ADOBE, host: Host | None = None) -> str | None:
    with pytest.raises(BadRequest) as error:
        verified(posted, of, host)
    assert error.value.status == 401
    return error.value.field


# ---- signatures


def test_what_adobe_signs_is_taken_and_one_key_is_enough() -> None:
    assert verified(post(CLOUD)).asked == [KEYS + "/prod/keys/pub-key-1.pem"]


def test_the_sample_event_is_taken() -> None:
    verified(post(Path("events/receive_event/adobe_io.json").read_bytes()))


def test_of_two_signatures_either_will_do() -> None:
    wrong_first = {**post(CLOUD).headers, "x-adobe-digital-signature-1": base64.b64encode(b"x" * 256).decode()}
    verified(Post(wrong_first, json.dumps(CLOUD).encode()))
    # The first key is no longer served; or is not to be had just now; or is no RSA key at all.
    verified(post(CLOUD, keys=(3, 2)))
    verified(post(CLOUD), host=Host(down=(key_path(1),)))
    point = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    verified(post(CLOUD), host=Host(k1=point))
    verified(post(CLOUD), host=Host(k1=b"<html>Not a key</html>"))
    only_second = {name: value for name, value in post(CLOUD).headers.items() if "1" not in name}
    verified(Post(only_second, json.dumps(CLOUD).encode()))


def test_a_body_that_was_altered_is_refused() -> None:
    good = post(CLOUD)
    assert refused(Post(good.headers, good.body.replace(b"12.5", b"1.25"))) == "x-adobe-digital-signature-1"
    assert refused(Post(good.headers, good.body + b" ")) == "x-adobe-digital-signature-1"


def test_a_key_that_is_not_adobes_or_no_longer_is_refused() -> None:
    assert refused(post(CLOUD, keys=(3, 4))) == "x-adobe-digital-signature-1"
    # Signed by keys 3 and 4, but said to be by those that are served.
    forged = {
        name: value.replace("key-3", "key-1").replace("key-4", "key-2")
        for name, value in post(CLOUD, keys=(3, 4)).headers.items()
    }
    assert refused(Post(forged, json.dumps(CLOUD).encode())) == "x-adobe-digital-signature-1"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.com/key.pem",
        "//evil.example.com/key.pem",
        "/\\evil.example.com/key.pem",
        "@evil.example.com/key.pem",
        ".evil.example.com/key.pem",
        ":8080/key.pem",
        "/../key.pem",
        "/prod/../key.pem",
        "/prod/keys/key.pem?x=1",
        "/prod/keys/key.pem#x",
        "/prod/keys/%2e%2e/key.pem",
        "/prod/keys/kéy.pem",
        "/prod/keys/key.pem\r\nhost: evil.example.com",
        "/" + "a" * 2000,
        "",
    ],
)
def test_a_key_is_never_sought_at_another_host_or_by_an_odd_path(path: str) -> None:
    host = Host()
    headers = {**post(CLOUD).headers, "x-adobe-public-key1-path": path, "x-adobe-public-key2-path": path}
    assert refused(Post(headers, json.dumps(CLOUD).encode()), host=host) == "x-adobe-digital-signature-1"
    assert host.asked == []


@pytest.mark.parametrize("body", [{**CLOUD, "recipientclientid": "other"}, [{**CLOUD, "recipientclientid": "other"}, 7]])
def test_what_adobe_signs_for_another_of_its_customers_is_refused_before_anything_is_fetched(body: object) -> None:
    host = Host()
    assert refused(post(body), host=host) == "recipientclientid"
    assert host.asked == []


def test_of_several_events_one_that_is_for_another_is_rejected_by_itself() -> None:
    posted = post([CLOUD, {**CLOUD, "recipientclientid": "other"}])
    verified(posted)
    taken, foreign = connector.events(ADOBE, posted, lambda: NOW)
    assert isinstance(taken, TrackerEvent)
    assert isinstance(foreign, Rejected)
    assert (foreign.index, foreign.field) == (1, "recipientclientid")


def test_the_client_id_must_be_there_under_either_name() -> None:
    without = {key: value for key, value in CLOUD.items() if key != "recipientclientid"}
    assert refused(post(without)) == "recipientclientid"
    verified(post({**without, "recipient_client_id": CLIENT}))
    assert refused(post({**CLOUD, "recipient_client_id": "other"})) == "recipientclientid"


def test_a_trigger_that_names_no_client_id_is_known_by_the_organisation_of_the_journal() -> None:
    said = trigger("t-1", "38digits", NOW.timestamp(), {}, ORGANIZATION)
    verified(post({"event_id": "d1", **said}), tracker(journal=JOURNAL))
    assert refused(post({"event_id": "d1", **said})) == "recipientclientid"
    other = trigger("t-1", "38digits", NOW.timestamp(), {}, "9999@AdobeOrg")
    assert refused(post({"event_id": "d1", **other}), tracker(journal=JOURNAL)) == "recipientclientid"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"1", b"null", b'"text"'])
def test_signed_nonsense_is_refused(body: bytes) -> None:
    assert refused(post(body)) in ("body", "recipientclientid")


@pytest.mark.parametrize("signature", ["", "!", "kéy", "a" * 5000, "\ud800"])
def test_what_is_no_signature_is_refused_without_asking_anybody(signature: str) -> None:
    host = Host()
    headers = {"x-adobe-digital-signature-1": signature, "x-adobe-public-key1-path": key_path(1)}
    assert refused(Post(headers, json.dumps(CLOUD).encode()), host=host) == "x-adobe-digital-signature-1"
    assert host.asked == []


def test_while_no_key_can_be_had_adobe_is_to_repeat_its_post() -> None:
    with pytest.raises(Transient):
        verified(post(CLOUD), host=Host(down=(key_path(1), key_path(2))))
    with pytest.raises(Transient, match="HTTP 503"):
        run(connector.verify(ADOBE, post(CLOUD), lambda: NOW), lambda _: Response(503))  # type: ignore[arg-type]


def test_the_older_signature_is_taken_from_who_has_the_secret_as_a_secret() -> None:
    legacy = tracker(secrets=[SECRET])
    body = json.dumps({"event_id": "d1", "event": {"type": "t", "visitor": "v"}}).encode()
    by_secret = {"x-adobe-signature": base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()}
    assert verified(Post(by_secret, body), legacy).asked == []
    assert refused(Post(by_secret, body + b" "), legacy) == "x-adobe-signature"
    assert refused(Post(by_secret, body), tracker(secrets=["another"])) == "x-adobe-signature"
    assert refused(Post(by_secret, body)) == "x-adobe-digital-signature-1"
    # Adobe's keys are for all its customers: the older signature beside a newer one proves nothing.
    assert refused(Post({**by_secret, **signed(body)}, body), legacy) == "recipientclientid"


# ---- the challenge of a registration


def test_a_challenge_is_answered_with_its_value_as_plain_text() -> None:
    value = "8ec8d794-e0ab-42df-9017-e3dada8e84f7"
    reply = connector.greeting(ADOBE, Post({}, b"", method="GET", query={"challenge": value}))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (200, value)
    assert reply.headers == {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


@pytest.mark.parametrize("value", ["", "a b", "a\r\nb", "é", "a" * 501])
def test_a_challenge_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(BadRequest):
        connector.greeting(ADOBE, Post({}, b"", method="GET", query={"challenge": value}))


def asked_to_validate(url: object) -> Reply | Generator[Request, Response, Reply] | None:
    return connector.greeting(ADOBE, Post({}, json.dumps({"validationUrl": url}).encode()))


def test_an_asynchronous_challenge_calls_the_address_that_it_names() -> None:
    url, asked = "https://csm.adobe.io/csm/registration/validate?id=1&challenge=2", list[str]()

    def send(request: Request) -> Response:
        asked.append(f"{request.method} {request.url}")
        return Response(200)

    exchange = asked_to_validate(url)
    assert isinstance(exchange, Generator)
    assert run(exchange, send).status == 200
    assert asked == [f"GET {url}"]
    exchange = asked_to_validate(url)
    assert isinstance(exchange, Generator)
    with pytest.raises(Transient, match="HTTP 410"):
        run(exchange, lambda _: Response(410))


@pytest.mark.parametrize(
    "url",
    [
        "http://csm.adobe.io/x",
        "https://evil.example.com/x",
        "https://adobe.io.evil.example.com/x",
        "https://evil-adobe.io/x",
        "https://user@csm.adobe.io/x",
        "https://csm.adobe.io:8443/x",
        "https://evil.example.com#.adobe.io",
        "https://evil.example.com\\.adobe.io",
        "https://[::1].adobe.io",
        "https://ns.adobeioruntime.net/x",
        "https://169.254.169.254/",
        7,
    ],
)
def test_no_other_address_is_called(url: object) -> None:
    with pytest.raises(BadRequest) as error:
        asked_to_validate(url)
    assert error.value.field == "validationUrl"


def test_events_are_no_challenge() -> None:
    assert connector.greeting(ADOBE, post(CLOUD)) is None
    assert connector.greeting(ADOBE, post({**CLOUD, "data": {"validationUrl": "x"}})) is None
