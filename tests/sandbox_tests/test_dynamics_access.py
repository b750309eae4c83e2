"""Entra's token endpoint, who may do what, and service protection."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.sandbox.dynamics import ROOT, DynamicsSandbox
from tests.sandbox_tests.conftest import Client, entra_form, until


@pytest.mark.parametrize(
    ("change", "status", "error", "code"),
    [
        ({"client_secret": "x"}, 401, "invalid_client", 7000215),
        ({"client_id": "x"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://elsewhere.example/.default"}, 400, "invalid_resource", 500011),
        ({"scope": "contacts.read"}, 400, "invalid_scope", 1002012),
        ({"scope": "a/.default b/.default"}, 400, "invalid_scope", 70011),
    ],
)
def test_a_wrong_token_request(dynamics: DynamicsSandbox, change: dict[str, str], status: int, error: str, code: int) -> None:
    url = f"{dynamics.url}/{dynamics.settings.tenant}/oauth2/v2.0/token"
    answer = httpx.post(url, data=entra_form(dynamics, **change), trust_env=False)
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [code])
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= body.keys()


def test_an_unknown_tenant_a_json_body_and_an_old_secret(dynamics: DynamicsSandbox) -> None:
    good = f"{dynamics.url}/{dynamics.settings.tenant}/oauth2/v2.0/token"
    elsewhere = httpx.post(f"{dynamics.url}/other/oauth2/v2.0/token", data=entra_form(dynamics), trust_env=False)
    as_json = httpx.post(good, json=entra_form(dynamics), trust_env=False)
    dynamics.control("settings", secret_expired=True)
    old = httpx.post(good, data=entra_form(dynamics), trust_env=False)
    assert [answer.json()["error_codes"] for answer in (elsewhere, as_json, old)] == [[90002], [900144], [7000222]]


def test_tokens_expire_and_can_be_revoked(dynamics: DynamicsSandbox, crm: Client) -> None:
    assert crm.call("GET", "WhoAmI").json()["UserId"]
    dynamics.clock.advance(3599)
    expired = crm.call("GET", "WhoAmI")
    assert expired.status_code == 401
    assert expired.headers["www-authenticate"].startswith("Bearer authorization_uri=")
    dynamics.clock.ahead = 0
    dynamics.control("revoke_tokens")
    assert crm.call("GET", "WhoAmI").status_code == 401
    crm.token = ""
    assert crm.call("GET", "WhoAmI").status_code == 401


def test_what_an_administrator_forgot(dynamics: DynamicsSandbox, crm: Client) -> None:
    dynamics.control("settings", denied_tables=["sb_emailsend"])
    denied = crm.call("POST", "sb_emailsends", json={"subject": "x"})
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "0x80040220")
    assert "prvCreatesb_emailsend" in denied.json()["error"]["message"]
    assert crm.call("POST", "sb_emailopens", json={"subject": "x"}).status_code == 204
    assert crm.call("POST", "systemusers", json={"fullname": "x"}).status_code == 403
    dynamics.control("settings", app_user=False)
    assert crm.call("GET", "WhoAmI").status_code == 403


def test_too_many_requests(dynamics: DynamicsSandbox, crm: Client) -> None:
    dynamics.control("settings", limit_requests=3)
    left = [crm.call("GET", "WhoAmI").headers["x-ms-ratelimit-burst-remaining-xrm-requests"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    first, second = crm.call("GET", "WhoAmI"), crm.call("GET", "WhoAmI")
    assert (first.status_code, first.json()["error"]["code"]) == (429, "0x80072322")
    assert int(second.headers["retry-after"]) > int(first.headers["retry-after"]) - 1 > 290
    assert "x-ms-ratelimit-burst-remaining-xrm-requests" not in first.headers
    dynamics.clock.advance(300)
    assert crm.call("GET", "WhoAmI").status_code == 200


def test_too_long_and_too_many_at_once(dynamics: DynamicsSandbox, crm: Client) -> None:
    dynamics.control("settings", latency_seconds=1.5, limit_concurrent=1)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(crm.call, "GET", "WhoAmI")
        until(lambda: dynamics.protection.running == 1)
        refused = crm.call("GET", "WhoAmI")
        assert first.result().status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "0x80072326")
    dynamics.control("settings", limit_busy_seconds=0.2)
    assert crm.call("GET", "WhoAmI").json()["error"]["code"] == "0x80072321"


def test_faults_answer_as_dataverse_does(dynamics: DynamicsSandbox, crm: Client) -> None:
    dynamics.control("fail", target="api", mode="429", retry_after=9, times=1)
    dynamics.control("fail", target="api", mode="500", times=1)
    dynamics.control("fail", target="api", mode="down", times=1)
    limited, broken, down = (crm.call("GET", "WhoAmI") for _ in range(3))
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "9")
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "0x80040216")
    assert (down.status_code, down.headers["content-type"]) == (503, "text/html")
    dynamics.control("fail", target="api", mode="cut_after", times=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        crm.call("POST", "contacts", json={"lastname": "Taken"})
    assert [row["lastname"] for row in dynamics.store.rows["contact"].values()] == ["Taken"]


def test_versions_types_and_paths(crm: Client) -> None:
    def code(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]["code"]

    assert code(crm.call("GET", "WhoAmI", headers={"odata-version": "3.0"})) == (400, "0x80060888")
    assert code(crm.call("GET", "WhoAmI", headers={"accept": "application/xml"})) == (415, "0x80060888")
    assert code(crm.call("POST", "contacts", content=b"{}")) == (415, "0x80060888")
    as_json = {"content-type": "application/json"}
    assert code(crm.call("POST", "contacts", content=b"{", headers=as_json)) == (400, "0x80048d19")
    assert code(crm.call("POST", "contacts", content=b"[" * 100_000, headers=as_json)) == (400, "0x80048d19")
    assert code(crm.call("GET", "Contacts")) == (404, "0x8006088a")
    assert code(crm.call("POST", "WhoAmI")) == (404, "")
    assert code(crm.call("DELETE", "contacts")) == (405, "0x80060888")
    assert code(crm.call("GET", "contacts(1)")) == (400, "0x80060888")
    assert crm.call("GET", "WhoAmI").headers["odata-version"] == "4.0"
    assert crm.http.get(crm.http.base_url.join("/api/data/v8.0/WhoAmI")).status_code == 404
    assert ROOT == "/api/data/v9.2/"
