"""`$batch`: strict multipart, order, stop or go on, change sets that are all or nothing."""

import json

import httpx
import pytest

from tests.sandbox.dynamics import DynamicsSandbox
from tests.sandbox_tests.conftest import Client

PART = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
GOOD = {"subject": "Call"}
BAD = {"subject": "x" * 201}


def request(method: str, url: str, payload: object = None, content_id: str = "") -> str:
    head = PART + (f"Content-ID: {content_id}\r\n" if content_id else "")
    if payload is None:
        return f"{head}\r\n{method} {url} HTTP/1.1\r\nAccept: application/json\r\n\r\n"
    typed = "Content-Type: application/json; type=entry\r\n\r\n"
    return f"{head}\r\n{method} {url} HTTP/1.1\r\n{typed}{json.dumps(payload)}"


def enclosed(boundary: str, *parts: str) -> str:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"


def changeset(*parts: str) -> str:
    return 'Content-Type: multipart/mixed; boundary="changeset_y"\r\n\r\n' + enclosed("changeset_y", *parts)


def post(crm: Client, body: str, go_on: bool = False, boundary: str = "batch_x") -> httpx.Response:
    headers = {"content-type": f'multipart/mixed; boundary="{boundary}"'}
    headers |= {"prefer": "odata.continue-on-error"} if go_on else {}
    return crm.call("POST", "$batch", content=body.encode(), headers=headers)


def statuses(answer: httpx.Response) -> list[int]:
    return [int(line.split()[1]) for line in answer.text.split("\r\n") if line.startswith("HTTP/1.1 ")]


def test_operations_are_answered_in_order(dynamics: DynamicsSandbox, crm: Client) -> None:
    (ada,) = dynamics.seed({"lastname": "Lovelace"})
    body = enclosed(
        "batch_x",
        request("GET", f"/api/data/v9.2/contacts({ada})?$select=lastname"),
        request("POST", "tasks", GOOD),
        request("PATCH", f"{dynamics.url}/api/data/v9.2/contacts({ada})", {"firstname": "Ada"}),
    )
    answer = post(crm, body)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("multipart/mixed; boundary=batchresponse_")
    assert statuses(answer) == [200, 204, 204]
    assert '"lastname": "Lovelace"' in answer.text
    assert answer.text.count("OData-EntityId: ") == 2
    assert dynamics.store.rows["contact"][ada]["fullname"] == "Ada Lovelace"


def test_the_first_failure_stops_it_or_not(dynamics: DynamicsSandbox, crm: Client) -> None:
    body = enclosed("batch_x", *(request("POST", "tasks", payload) for payload in (GOOD, BAD, GOOD)))
    stopped = post(crm, body)
    assert (stopped.status_code, statuses(stopped)) == (400, [204, 400])
    assert '"code": "0x80044331"' in stopped.text
    assert len(dynamics.store.rows["task"]) == 1
    went_on = post(crm, body, go_on=True)
    assert (went_on.status_code, statuses(went_on)) == (200, [204, 400, 204])
    assert went_on.text.count("REQ_ID: ") == 1
    assert len(dynamics.store.rows["task"]) == 3


def test_a_change_set_is_all_or_nothing(dynamics: DynamicsSandbox, crm: Client) -> None:
    def creating(second: object) -> str:
        return changeset(request("POST", "tasks", GOOD, "1"), request("POST", "tasks", second, "2"))

    failed = post(crm, enclosed("batch_x", creating(BAD), request("POST", "tasks", GOOD)), go_on=True)
    assert (failed.status_code, statuses(failed)) == (200, [400, 204])
    assert len(dynamics.store.rows["task"]) == len(dynamics.store.writes) == 1
    done = post(crm, enclosed("batch_x", creating(GOOD)))
    assert statuses(done) == [204, 204]
    assert "boundary=changesetresponse_" in done.text
    assert "Content-ID: 2" in done.text
    assert len(dynamics.store.rows["task"]) == 3


def test_content_ids_refer_back(dynamics: DynamicsSandbox, crm: Client) -> None:
    bind = {"regardingobjectid_contact_task@odata.bind": "$1"}
    parts = request("POST", "contacts", {"lastname": "New"}, "1"), request("POST", "tasks", {**GOOD, **bind}, "2")
    body = enclosed("batch_x", changeset(*parts, request("PATCH", "$1", {"firstname": "Very"}, "3")))
    assert statuses(post(crm, body)) == [204, 204, 204]
    (contact,) = dynamics.store.rows["contact"].values()
    assert contact["fullname"] == "Very New"
    assert len(dynamics.timeline(str(contact["contactid"]))) == 1
    unknown = post(crm, enclosed("batch_x", changeset(request("POST", "tasks", {**GOOD, **bind}, "2"))))
    assert "Content-ID Reference: '$1' does not exist in the batch context." in unknown.text
    assert "does not exist" in post(crm, enclosed("batch_x", changeset(request("PATCH", "$9", {}, "1")))).text


@pytest.mark.parametrize(
    "body",
    [
        enclosed("batch_x", request("POST", "tasks", GOOD)).replace("\r\n", "\n"),
        enclosed("other", request("POST", "tasks", GOOD)),
        enclosed("batch_x", request("POST", "tasks", GOOD)).removesuffix("--batch_x--\r\n"),
        enclosed("batch_x", request("POST", "tasks", GOOD).replace("binary", "base64")),
        enclosed("batch_x", request("POST", "tasks", GOOD).replace("application/http", "text/plain")),
        enclosed("batch_x", request("POST", "tasks", GOOD).replace(" HTTP/1.1", "")),
        enclosed("batch_x", request("POST", "$batch", GOOD)),
        enclosed("batch_x", request("POST", "/elsewhere/tasks", GOOD)),
        enclosed("batch_x", changeset(request("GET", "tasks"))),
        enclosed("batch_x", changeset(request("POST", "tasks", GOOD, "1"), request("POST", "tasks", GOOD, "1"))),
        enclosed("batch_x", *[request("GET", "WhoAmI")] * 1001),
        "",
    ],
    ids=["lf", "boundary", "end", "encoding", "type", "line", "nested", "url", "get", "id", "1001", "empty"],
)
def test_what_is_not_a_batch_is_refused_whole(dynamics: DynamicsSandbox, crm: Client, body: str) -> None:
    answer = post(crm, body, go_on=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "0x80060888"
    assert dynamics.store.rows["task"] == {}


def test_a_thousand_operations_are_one_request(dynamics: DynamicsSandbox, crm: Client) -> None:
    answer = post(crm, enclosed("batch_x", *[request("POST", "tasks", GOOD)] * 1000))
    assert statuses(answer) == [204] * 1000
    assert answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "5999"
    assert len(dynamics.store.rows["task"]) == 1000


def test_one_operation_of_a_batch_can_fail(dynamics: DynamicsSandbox, crm: Client) -> None:
    dynamics.control("fail", target="operation", mode="500", after=1, times=1)
    body = enclosed("batch_x", *[request("POST", "tasks", GOOD)] * 3)
    assert statuses(post(crm, body, go_on=True)) == [204, 500, 204]
    assert len(dynamics.store.rows["task"]) == 2
