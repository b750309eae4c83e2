"""Dynamics without any server: what is asked, what answers mean, and what is wrong with a destination."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from connectors.crms.dynamics import Dynamics
from connectors.crms.timeline import ContactGone, Entry, Outcome, Written
from shared.definitions import Destination
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Exchange, Request, Response, run
from shared.jobs import CrmJob

T = TypeVar("T")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "not-to-be-seen"
DESTINATION = Destination.model_validate(
    {
        "name": "dynamics",
        "url": "https://org.crm.dynamics.com/",
        "auth": {
            "type": "oauth2",
            "token_url": "https://login.example.com/token",
            "client_id": "id",
            "client_secret": SECRET,
        },
    }
)
BATCH = "multipart/mixed; boundary=batchresponse_1"


def dynamics() -> Dynamics:
    return Dynamics(DESTINATION, lambda: NOW)


def entry(engagement: str = "e_1", contact: str = "c-1") -> Entry:
    job = CrmJob(
        destination="dynamics",
        engagement_id=engagement,
        message_id="m_1",
        profile_id="p_1",
        type="opened",
        at=NOW,
        campaign="Ünïcode",
        delivery="d",
        mirror_url="https://example.com/m",
    )
    return Entry(job, contact)


def part(status: str, body: str = "", headers: str = "") -> str:
    return (
        "--batchresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"HTTP/1.1 {status}\r\n{headers}\r\n{body}\r\n"
    )


def error(code: str, message: str) -> str:
    return f'{{"error":{{"code":"{code}","message":"{message}"}}}}'


def answered(exchange: Exchange[T], *answers: Response) -> tuple[T, list[Request]]:
    """The result of an exchange that gets these answers, and what it asked."""
    left, asked = list(answers), []

    def send(request: Request) -> Response:
        asked.append(request)
        return left.pop(0)

    return run(exchange, send), asked


def described(entity_set: str = "sb_emailopens", nav: str = "regardingobjectid_contact_sb_emailopen") -> list[Response]:
    relationship = f'{{"ReferencedEntity":"contact","ReferencingEntityNavigationPropertyName":"{nav}"}}'
    return [
        Response(200, body=f'{{"EntitySetName":"{entity_set}"}}'.encode()),
        Response(200, body=f'{{"value":[{relationship}]}}'.encode()),
    ]


def written(*parts: str, status: int = 200, end: str = "--batchresponse_1--\r\n", count: int = 1) -> list[Outcome]:
    """What becomes of entries whose batch is answered so."""
    body = ("".join(parts) + end).encode()
    entries = [entry(f"e_{n}") for n in range(count)]
    return answered(dynamics().write(entries), *described(), Response(status, {"content-type": BATCH}, body))[0]


def test_a_batch_is_create_only_with_lines_that_end_in_crlf() -> None:
    answer = Response(200, {"content-type": BATCH}, (part("204 No Content") + "--batchresponse_1--\r\n").encode())
    _, asked = answered(dynamics().write([entry()]), *described(), answer)
    request = asked[-1]
    assert request.url == "https://org.crm.dynamics.com/api/data/v9.2/$batch"
    assert request.headers["prefer"] == "odata.continue-on-error"
    assert b"\n" not in request.body.replace(b"\r\n", b"")
    assert b"PATCH /api/data/v9.2/sb_emailopens(" in request.body
    assert request.body.count(b"If-None-Match: *") == 1
    assert b'"/contacts(c-1)"' in request.body


def test_characters_that_dataverse_refuses_are_not_sent() -> None:
    job = entry().job.model_copy(update={"campaign": "a\x00b\x0bc\uffff\ud800", "mirror_url": "https://x/\x07"})
    answer = Response(200, {"content-type": BATCH}, (part("204 No Content") + "--batchresponse_1--\r\n").encode())
    _, asked = answered(dynamics().write([Entry(job, "c-1")]), *described(), answer)
    assert b'"sb_campaignname": "a?b?c??"' in asked[-1].body
    assert b'"sb_mirrorpageurl": "https://x/?"' in asked[-1].body


def test_equal_entries_make_equal_requests() -> None:
    answer = Response(200, {"content-type": BATCH}, (part("204 No Content") + "--batchresponse_1--\r\n").encode())
    first, second = (answered(dynamics().write([entry()]), *described(), answer)[1][-1] for _ in range(2))
    assert (first.headers, first.body) == (second.headers, second.body)


def test_names_of_tables_are_discovered_once() -> None:
    connector = dynamics()
    answer = Response(200, {"content-type": BATCH}, (part("204 No Content") + "--batchresponse_1--\r\n").encode())
    answered(connector.write([entry()]), *described("sb_opened_emails", "regardingobjectid_contact_sb_EmailOpen"), answer)
    _, asked = answered(connector.write([entry()]), answer)
    assert b"/sb_opened_emails(" in asked[0].body
    assert b"regardingobjectid_contact_sb_EmailOpen@odata.bind" in asked[0].body


def test_who_may_not_read_metadata_gets_the_usual_names() -> None:
    answer = Response(200, {"content-type": BATCH}, (part("204 No Content") + "--batchresponse_1--\r\n").encode())
    denied = Response(403, body=error("0x80040220", "missing prvReadEntity").encode())
    _, asked = answered(dynamics().write([entry()]), denied, denied, answer)
    assert b"/sb_emailopens(" in asked[-1].body
    assert b"regardingobjectid_contact_sb_emailopen@odata.bind" in asked[-1].body


def test_each_operation_has_its_own_outcome() -> None:
    gone = error("0x80040217", "contact With Id = c-1 Does Not Exist")
    outcomes = written(
        part("204 No Content"),
        part("412 Precondition Failed", error("0x80040237", "exists")),
        part("404 Not Found", gone),
        part("400 Bad Request", error("0x80044331", "too long for ada@example.com")),
        part("429 Too Many", error("0x80072322", "limit"), "Retry-After: 17\r\n"),
        part("500 Oops"),
        part("404 Not Found", error("0x80040217", "systemuser With Id = u Does Not Exist")),
        count=7,
    )
    created, already, deleted, refused, limited, failed, ownerless = outcomes
    assert isinstance(created, Written)
    assert isinstance(already, Written)
    assert (created.created, already.created) == (True, False)
    assert isinstance(deleted, ContactGone)
    assert isinstance(refused, Permanent)
    assert refused.reason == "Dynamics: HTTP 400 0x80044331 too long for (address)"
    assert isinstance(limited, Transient)
    assert limited.retry_after == 17
    assert isinstance(failed, Transient)
    assert isinstance(ownerless, Misconfigured)


@pytest.mark.parametrize("end", ["", "--batchresponse_1\r\nContent-Type: application/http\r\n\r\nHTT"])
def test_operations_that_the_answer_leaves_out_come_back(end: str) -> None:
    first, second = written(part("204 No Content"), end=end, count=2)
    assert isinstance(first, Written)
    assert isinstance(second, Transient)


def test_a_batch_that_stopped_at_a_failure_is_read_too() -> None:
    parts = part("204 No Content") + part("400 Bad Request", error("0x1", "no"))
    first, second, third = written(parts, status=400, count=3)
    assert isinstance(first, Written)
    assert isinstance(second, Permanent)
    assert isinstance(third, Transient)


@pytest.mark.parametrize(
    ("status", "content_type", "expected"),
    [
        (200, "text/html", Unknown),
        (400, "application/json", Permanent),
        (403, "application/json", Misconfigured),
        (429, "application/json", Transient),
        (503, "text/html", Transient),
    ],
)
def test_an_answer_to_the_whole_batch_is_the_outcome_of_all(
    status: int, content_type: str, expected: type[SendbridgeError]
) -> None:
    answer = Response(status, {"content-type": content_type}, b"<html>")
    with pytest.raises(expected):
        answered(dynamics().write([entry()]), *described(), answer)


def test_a_look_up_stays_short_and_asks_for_every_address() -> None:
    addresses = [f"{n}{'x' * 300}'@example.com" for n in range(50)]
    _, asked = answered(dynamics().contacts(addresses), *[Response(200, body=b'{"value":[]}')] * 3)
    assert len(asked) == 3
    assert max(len(request.url) for request in asked) < 16_000


@pytest.mark.parametrize("address", ["", "x" * 400, "a\n@example.com", "a\x00@example.com"])
def test_what_cannot_be_an_address_is_not_asked_for(address: str) -> None:
    assert answered(dynamics().contacts([address])) == ({}, [])


def test_pages_are_followed_but_not_to_another_host() -> None:
    row = '{"contactid":"%s","emailaddress1":"A@x","statecode":%d}'
    base = "https://org.crm.dynamics.com/api/data/v9.2/contacts?$skiptoken=2"
    first = Response(200, body=f'{{"value":[{row % ("c1", 1)}],"@odata.nextLink":"{base}"}}'.encode())
    second = Response(200, body=f'{{"value":[{row % ("c2", 0)}]}}'.encode())
    found, asked = answered(dynamics().contacts(["a@X"]), first, second)
    assert found == {"a@x": ["c2"]}
    assert asked[1].url == base
    elsewhere = Response(200, body=b'{"value":[],"@odata.nextLink":"https://evil.example.com/"}')
    with pytest.raises(Permanent):
        answered(dynamics().contacts(["a@x"]), elsewhere)


def test_two_addresses_that_only_fold_to_the_same_are_two_people() -> None:
    rows = b'{"value":[{"contactid":"c1","emailaddress1":"Strasse@x","statecode":0}]}'
    assert "stra%C3%9Fe" in answered(dynamics().contacts(["Stra\u00dfe@x"]), Response(200, body=b'{"value":[]}'))[1][0].url
    assert answered(dynamics().contacts(["Stra\u00dfe@x"]), Response(200, body=rows))[0] == {"strasse@x": ["c1"]}


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"value":{}}'])
def test_an_answer_that_is_no_list_does_not_mean_nobody(body: bytes) -> None:
    with pytest.raises(Transient):
        answered(dynamics().contacts(["a@x"]), Response(200, body=body))


def test_pages_without_end_are_left() -> None:
    same = b'{"value":[],"@odata.nextLink":"https://org.crm.dynamics.com/api/data/v9.2/contacts?again"}'
    with pytest.raises(Permanent, match="does not end"):
        run(dynamics().contacts(["a@x"]), lambda request: Response(200, body=same))


@pytest.mark.parametrize("contact", ["", "c1)/x(", "c 1", "c'1"])
def test_what_is_no_id_is_no_contact(contact: str) -> None:
    row = json.dumps({"value": [{"contactid": contact, "emailaddress1": "a@x", "statecode": 0}]}).encode()
    assert answered(dynamics().contacts(["a@x"]), Response(200, body=row))[0] == {}


@pytest.mark.parametrize("name", ["x(1) HTTP/1.1\\r\\nX-More: 1", "\u00e9", "a/b", "x" * 200])
def test_a_name_that_is_none_becomes_no_part_of_a_batch(name: str) -> None:
    answer = Response(200, {"content-type": BATCH}, (part("204 No Content") + "--batchresponse_1--\r\n").encode())
    _, asked = answered(dynamics().write([entry()]), *described(name, name), answer)
    assert b"PATCH /api/data/v9.2/sb_emailopens(" in asked[-1].body
    assert b'"regardingobjectid_contact_sb_emailopen@odata.bind"' in asked[-1].body


@pytest.mark.parametrize("status", ["2_04", "-5", "99", "700", "20400", "1" * 5000, "204x"])
def test_a_status_that_is_none_is_no_answer(status: str) -> None:
    (outcome,) = written(part(status))
    assert isinstance(outcome, Transient)


def test_parts_within_parts_are_not_unpacked_for_ever() -> None:
    nested = "".join(f"--b{n}\r\nContent-Type: Multipart/mixed; boundary=b{n + 1}\r\n\r\n" for n in range(30_000))
    answer = Response(200, {"content-type": "multipart/mixed; boundary=b0"}, nested.encode())
    with pytest.raises(Unknown, match="parts within parts"):
        answered(dynamics().write([entry()]), *described(), answer)


def test_no_secret_and_no_address_is_shown() -> None:
    _, asked = answered(dynamics().contacts(["a@x"]), Response(200, body=b'{"value":[]}'))
    assert SECRET not in repr(DESTINATION)
    assert SECRET not in repr(asked)
