"""Writing rows: types, lengths, references, states, conditions, versions."""

import json
import uuid

import httpx
import pytest

from tests.sandbox.dynamics import DynamicsSandbox
from tests.sandbox.dynamics_store import APP_USER, SALES_USER
from tests.sandbox_tests.conftest import Client

ID = "0f0e0d0c-0b0a-4908-8706-050403020100"


@pytest.fixture
def ada(dynamics: DynamicsSandbox) -> str:
    (key,) = dynamics.seed({"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@example.com"})
    return key


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_activity_is_upserted_once_and_shown(dynamics: DynamicsSandbox, crm: Client, ada: str) -> None:
    click = {
        "subject": "Clicked: You left a lamp",
        "sb_campaignname": "Carts",
        "sb_deliveryname": "lamp-1",
        "sb_eventdate": "2026-11-21T10:00:00.500+01:00",
        "sb_mirrorpageurl": "https://m.example/1",
        "sb_trackingurl": "https://shop.example/cart",
        "regardingobjectid_contact_sb_emailclick@odata.bind": f"/contacts({ada})",
        "ownerid@odata.bind": f"/systemusers({SALES_USER})",
    }
    first = crm.call("PATCH", f"sb_emailclicks({ID})", json=click)
    assert first.status_code == 204
    assert first.headers["odata-entityid"].endswith(f"/api/data/v9.2/sb_emailclicks({ID})")
    again = crm.call("PATCH", f"sb_emailclicks({ID})", json=click, headers={"if-none-match": "*"})
    assert error(again) == (412, "0x80040237")
    (shown,) = dynamics.timeline(ada)
    assert shown["table"] == "sb_emailclick"
    assert shown["date"] == shown["sb_eventdate"] == "2026-11-21T09:00:00Z"
    assert shown["owner"] == "Hedy Sales"
    page = crm.http.get(f"{dynamics.url}/timeline/{ada}").text
    assert "Clicked: You left a lamp" in page
    assert "Ada Lovelace" in crm.http.get(f"{dynamics.url}/timeline").text
    assert dynamics.ask(f"timeline/{ada}")[0]["activityid"] == ID
    assert [(w["op"], w["id"]) for w in dynamics.ask("writes", table="sb_emailclicks")] == [("create", ID)]


def test_creating_says_where_and_the_owner_is_the_app(crm: Client, ada: str) -> None:
    quiet = crm.call("POST", "tasks", json={"subject": "Call"})
    assert quiet.status_code == 204
    loud = crm.call(
        "POST",
        "tasks?$select=subject,statuscode",
        json={"subject": "Call", "regardingobjectid_contact_task@odata.bind": f"/contacts({ada})"},
        headers={"prefer": "return=representation"},
    )
    assert loud.status_code == 201
    assert loud.headers["preference-applied"] == "return=representation"
    assert loud.json().keys() == {"@odata.context", "@odata.etag", "activityid", "subject", "statuscode"}
    row = crm.call("GET", f"tasks({loud.json()['activityid']})").json()
    assert (row["_ownerid_value"], row["_regardingobjectid_value"], row["statuscode"]) == (APP_USER, ada, 2)
    assert error(crm.call("POST", "tasks", json={"activityid": row["activityid"]})) == (412, "0x80040237")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"nonsense": 1}, "0x80048d19"),
        ({"subject": 5}, "0x80048d19"),
        ({"prioritycode": "1"}, "0x80048d19"),
        ({"prioritycode": True}, "0x80048d19"),
        ({"scheduledend": "tomorrow"}, "0x80048d19"),
        ({"scheduledend": "2026-11-21T10:00:00"}, "0x80048d19"),
        ({"scheduledend": "1600-01-01T00:00:00Z"}, "0x80040239"),
        ({"_ownerid_value": APP_USER}, "0x80048d19"),
        ({"subject": "\ud800"}, "0x80048d19"),
        ({"subject": "x" * 201}, "0x80044331"),
        ({"statecode": 0, "statuscode": 5}, "0x80048408"),
        ({"RegardingObjectId_contact_task@odata.bind": "/contacts(x)"}, "0x80048d19"),
        ({"regardingobjectid_contact_task@odata.bind": "/systemusers(" + APP_USER + ")"}, "0x80048d19"),
        ({"regardingobjectid_contact_task@odata.bind": "contacts"}, "0x80048d19"),
        ({"regardingobjectid_contact_task@odata.bind": 1}, "0x80048d19"),
        ({"regardingobjectid_contact_task@odata.bind": "/contacts(x)"}, "0x80060888"),
    ],
)
def test_a_payload_dataverse_refuses(dynamics: DynamicsSandbox, crm: Client, payload: dict[str, object], code: str) -> None:
    headers = {"content-type": "application/json"}
    answer = crm.call("POST", "tasks", content=json.dumps(payload).encode(), headers=headers)
    assert error(answer) == (400, code)
    assert dynamics.store.rows["task"] == {}


def test_messages_are_dataverse_s(crm: Client) -> None:
    long = crm.call("POST", "sb_emailclicks", json={"sb_trackingurl": "https://x.example/" + "y" * 2000})
    assert long.json()["error"]["message"] == (
        "A validation error occurred. The length of the 'sb_trackingurl' attribute of the 'sb_emailclick' entity "
        "exceeded the maximum allowed length of '2000'."
    )
    nav = crm.call("POST", "sb_emailsends", json={"regardingobjectid@odata.bind": f"/contacts({ID})"})
    assert "An undeclared property 'regardingobjectid' which only has property annotations" in nav.text
    gone = crm.call("POST", "sb_emailsends", json={"regardingobjectid_contact_sb_emailsend@odata.bind": f"/contacts({ID})"})
    assert error(gone) == (404, "0x80040217")


def test_conditions_and_versions(crm: Client, ada: str) -> None:
    first = crm.call("GET", f"contacts({ada})?$select=lastname")
    etag = first.headers["etag"]
    assert first.json()["@odata.etag"] == etag
    assert crm.call("GET", f"contacts({ada})", headers={"if-none-match": etag}).status_code == 304
    assert crm.call("GET", f"contacts({ada})", headers={"if-none-match": "null"}).status_code == 200
    change = {"donotbulkemail": True}
    updated = crm.call("PATCH", f"contacts({ada})", json=change, headers={"if-match": etag, "prefer": "return=representation"})
    assert (updated.status_code, updated.json()["donotbulkemail"]) == (200, True)
    assert int(updated.headers["etag"][3:-1]) > int(etag[3:-1])
    assert error(crm.call("PATCH", f"contacts({ada})", json=change, headers={"if-match": etag})) == (412, "0x80060882")
    missing = f"contacts({uuid.uuid4()})"
    assert error(crm.call("PATCH", missing, json=change, headers={"if-match": "*"})) == (404, "0x80040217")
    assert crm.call("PATCH", missing, json=change, headers={"if-none-match": "*"}).status_code == 204


def test_states_and_deletion(crm: Client, ada: str) -> None:
    assert crm.call("PATCH", f"contacts({ada})", json={"statecode": 1}).status_code == 204
    row = crm.call("GET", f"contacts({ada.upper()})").json()
    assert (row["statecode"], row["statuscode"], row["fullname"]) == (1, 2, "Ada Lovelace")
    assert crm.call("DELETE", f"contacts(contactid={ada})").status_code == 204
    assert error(crm.call("GET", f"contacts({ada})")) == (404, "0x80040217")
    assert error(crm.call("DELETE", f"contacts({ada})")) == (404, "0x80040217")


def test_a_wrong_seed_says_why(dynamics: DynamicsSandbox) -> None:
    with pytest.raises(ValueError, match="Invalid property 'email'"):
        dynamics.control("contacts", contacts=[{"email": "x@y.example"}])
    key = dynamics.control("contacts", contacts=[{"contactid": ID.upper(), "lastname": "x"}])["ids"][0]
    assert dynamics.control("contacts", contacts=[{"contactid": key, "lastname": "x"}])["ids"] == [ID]
    assert dynamics.ask("writes") == []
