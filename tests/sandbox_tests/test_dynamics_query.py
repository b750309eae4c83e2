"""Reading rows: filters, paging, counts, metadata."""

from urllib.parse import quote

import pytest

from tests.sandbox.dynamics import DynamicsSandbox
from tests.sandbox.dynamics_filter import compile_filter
from tests.sandbox.dynamics_schema import CONTACT
from tests.sandbox_tests.conftest import Client


@pytest.fixture
def people(dynamics: DynamicsSandbox) -> list[str]:
    return dynamics.seed(
        {"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@example.com"},
        {"firstname": "Conan", "lastname": "O'Brien", "emailaddress1": "conan@example.com", "donotbulkemail": True},
        {"firstname": "Grace", "lastname": "Hopper", "emailaddress1": "Grace@example.com", "statecode": 1},
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("emailaddress1 eq 'ada@example.com'", "Ada"),
        ("emailaddress1 eq 'grace@EXAMPLE.com'", "Grace"),
        ("lastname eq 'O''Brien'", "Conan"),
        ("statecode eq 0 and lastname ne 'Lovelace'", "Conan"),
        ("emailaddress1 eq 'ada@example.com' or emailaddress1 eq 'conan@example.com'", "Ada Conan"),
        ("emailaddress1 eq 'ada@example.com' and statecode eq 1", ""),
        ("statecode eq 0 and (firstname eq 'Ada' or firstname eq 'Grace')", "Ada"),
        ("not (statecode eq 0)", "Grace"),
        ("donotbulkemail eq true", "Conan"),
        ("jobtitle eq null and startswith(lastname,'o')", "Conan"),
        ("contains(emailaddress1,'@example') and endswith(lastname,'per')", "Grace"),
        ("modifiedon ge 2026-01-01T00:00:00Z and modifiedon gt 2026-01-01", "Ada Conan Grace"),
        ("modifiedon lt 2026-01-01T00:00:00Z or statecode le 0", "Ada Conan"),
        ("emailaddress1 eq @mail", "Ada"),
    ],
)
def test_filters(crm: Client, people: list[str], text: str, found: str) -> None:
    url = f"contacts?$select=firstname&$filter={quote(text)}&@mail='ada@example.com'"
    names = [row["firstname"] for row in crm.call("GET", url).json()["value"]]
    assert sorted(names) == found.split()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("$filter=nonsense eq 1", "Could not find a property named 'nonsense' on type 'Microsoft.Dynamics.CRM.contact'."),
        ("$filter=EmailAddress1 eq 'x'", "Could not find a property named 'EmailAddress1'"),
        ("$filter=emailaddress1 eq 1", "Found operand types 'Edm.String' and 'Edm.Int32' for operator kind 'Equal'"),
        ("$filter=contactid eq 'abc'", "Found operand types 'Edm.Guid' and 'Edm.String'"),
        ("$filter=emailaddress1 eq 'O'Brien'", "Syntax error"),
        ("$filter=emailaddress1 eq", "Syntax error"),
        ("$filter=emailaddress1 like 'x'", "Syntax error"),
        ("$filter=", "Syntax error"),
        ("$filter=" + "(" * 5000, "recursion limit"),
        ("$filter=modifiedon ge 2026-13-01T00:00:00Z", "Unrecognized literal"),
        ("$select=nonsense", "Could not find a property named 'nonsense'"),
        ("$orderby=lastname sideways", "Syntax error"),
        ("$top=0", "$top"),
        ("$skip=1", "$skip"),
        ("$expand=ownerid", "The query parameter $expand is not supported"),
        ("$skiptoken=x", "paging cookie"),
    ],
)
def test_queries_dataverse_refuses(crm: Client, query: str, message: str) -> None:
    answer = crm.call("GET", f"contacts?{query}")
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_filter_names_what_an_index_can_use() -> None:
    both = compile_filter(CONTACT, "emailaddress1 eq 'A@b.example' and statecode eq 0", {})
    assert both.equals == {"emailaddress1": "a@b.example"}
    assert compile_filter(CONTACT, "emailaddress1 eq 'a' or statecode eq 0", {}).equals == {}
    assert compile_filter(CONTACT, "not emailaddress1 eq 'a'", {}).equals == {}


def test_pages_follow_opaque_links(dynamics: DynamicsSandbox, crm: Client) -> None:
    ids = [dynamics.seed({"lastname": f"n{n:02}"})[0] for n in range(7)]
    prefer = {"prefer": "odata.maxpagesize=3"}
    url, seen, pages = "contacts?$select=lastname&$orderby=lastname desc&$count=true", list[str](), 0
    while url:
        answer = crm.call("GET", url, headers=prefer)
        assert answer.headers["preference-applied"] == "odata.maxpagesize=3"
        seen += [row["contactid"] for row in answer.json()["value"]]
        url, pages = answer.json().get("@odata.nextLink", ""), pages + 1
        dynamics.store.rows["contact"].pop(ids[0], None)  # the page changes while it is read
    assert seen == ids[:0:-1]
    assert pages == 2
    link = crm.call("GET", "contacts?$select=lastname", headers=prefer).json()["@odata.nextLink"]
    assert crm.call("GET", link.replace("lastname", "fullname"), headers=prefer).status_code == 400
    assert len(crm.call("GET", "contacts?$top=4", headers=prefer).json()["value"]) == 4
    assert "@odata.nextLink" not in crm.call("GET", "contacts?$top=4", headers=prefer).json()


def test_counts_and_annotations(crm: Client, people: list[str]) -> None:
    assert crm.call("GET", "contacts/$count?$filter=statecode eq 0").text == "2"
    assert crm.call("GET", "contacts?$count=true&$top=1").json()["@odata.count"] == 1
    row = crm.call("GET", f"contacts({people[0]})", headers={"prefer": 'odata.include-annotations="*"'}).json()
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"


def test_activity_pointers_show_every_kind(crm: Client, people: list[str]) -> None:
    for table in ("task", "sb_emailsend", "sb_emailopen"):
        bind = {f"regardingobjectid_contact_{table}@odata.bind": f"/contacts({people[0]})"}
        assert crm.call("POST", f"{table}s", json={"subject": table, **bind}).status_code == 204
    assert crm.call("POST", "tasks", json={"subject": "other"}).status_code == 204
    url = f"activitypointers?$select=activitytypecode&$filter=_regardingobjectid_value eq {people[0]}"
    kinds = {row["activitytypecode"] for row in crm.call("GET", url).json()["value"]}
    assert kinds == {"task", "sb_emailsend", "sb_emailopen"}
    own = crm.call("GET", f"tasks?$filter=_regardingobjectid_value eq {people[0]}").json()["value"]
    assert [row["subject"] for row in own] == ["task"]
    assert crm.call("POST", "activitypointers", json={}).status_code == 403


def test_metadata_says_what_is_installed(crm: Client) -> None:
    facts = crm.call("GET", "EntityDefinitions(LogicalName='sb_emailclick')?$select=EntitySetName,IsActivity").json()
    assert (facts["EntitySetName"], facts["IsActivity"]) == ("sb_emailclicks", True)
    assert crm.call("GET", "EntityDefinitions(LogicalName='sb_nothing')").status_code == 404
    url = (
        "EntityDefinitions(LogicalName='sb_emailsend')/ManyToOneRelationships?$select=ReferencingAttribute,"
        "ReferencedEntity,ReferencingEntityNavigationPropertyName&$filter=ReferencingAttribute eq 'regardingobjectid'"
    )
    (relation,) = crm.call("GET", url).json()["value"]
    assert relation["ReferencingEntityNavigationPropertyName"] == "regardingobjectid_contact_sb_emailsend"
    columns = crm.call("GET", "EntityDefinitions(LogicalName='sb_emailclick')/Attributes?$select=LogicalName").json()
    assert {"sb_trackingurl", "ownerid", "subject"} <= {column["LogicalName"] for column in columns["value"]}
    assert crm.call("GET", "EntityDefinitions(LogicalName='task')/Keys").status_code == 404
    assert crm.call("PATCH", "EntityDefinitions(LogicalName='task')", json={}).status_code == 405
