"""The tables of the sandbox's Dataverse environment.

`contact`, `task` and `systemuser` are Microsoft's (a useful part of their columns). The four `sb_email…` activity tables
are what an e-mail product's managed solution would install, under its publisher's prefix.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["string", "memo", "integer", "boolean", "datetime", "date", "guid", "lookup"]
EDM: dict[Kind, str] = {
    "string": "Edm.String",
    "memo": "Edm.String",
    "integer": "Edm.Int32",
    "boolean": "Edm.Boolean",
    "datetime": "Edm.DateTimeOffset",
    "date": "Edm.Date",
    "guid": "Edm.Guid",
    "lookup": "Edm.Guid",
}
# statecode -> the status codes it allows, the default first
States = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Column:
    """One column. `max_length` in characters, for text; a `read_only` one is passed over when written."""

    name: str
    kind: Kind
    max_length: int = 0
    read_only: bool = False

    @property
    def read_name(self) -> str:
        """The property it is read and filtered by."""
        return f"_{self.name}_value" if self.kind == "lookup" else self.name


@dataclass(frozen=True)
class Nav:
    """A single-valued navigation property: the lookup column it fills and the table it points to."""

    name: str
    column: str
    target: str


@dataclass(frozen=True)
class Table:
    """One table. `columns` are by the name they are read by, `navs` by their case-sensitive names."""

    logical: str
    entity_set: str
    primary_id: str
    primary_name: str
    columns: dict[str, Column]
    navs: dict[str, Nav] = field(default_factory=dict)
    states: States = field(default_factory=dict)
    activity: bool = False
    writable: bool = True


def _columns(*columns: Column) -> dict[str, Column]:
    return {column.read_name: column for column in columns}


def _texts(limits: dict[str, int]) -> list[Column]:
    return [Column(name, "string", limit) for name, limit in limits.items()]


def _of_kind(kind: Kind, names: str, read_only: bool = False) -> list[Column]:
    return [Column(name, kind, read_only=read_only) for name in names.split()]


SYSTEM = [
    *_of_kind("datetime", "createdon modifiedon", read_only=True),
    *_of_kind("integer", "statecode statuscode"),
    Column("ownerid", "lookup"),
]

CONTACT = Table(
    "contact",
    "contacts",
    "contactid",
    "fullname",
    _columns(
        Column("contactid", "guid"),
        Column("fullname", "string", 160, read_only=True),
        *_texts({"firstname": 50, "lastname": 50, "jobtitle": 100, "mobilephone": 50, "telephone1": 50}),
        *_texts({"emailaddress1": 100, "emailaddress2": 100, "emailaddress3": 100}),
        *_texts({"address1_city": 80, "address1_country": 80, "externaluseridentifier": 50}),
        Column("description", "memo", 2000),
        Column("birthdate", "date"),
        *_of_kind("boolean", "donotemail donotbulkemail donotphone donotpostalmail donotfax donotbulkpostalmail"),
        *SYSTEM,
    ),
    {"ownerid": Nav("ownerid", "ownerid", "systemuser")},
    {0: (1,), 1: (2,)},
)
SYSTEMUSER = Table(
    "systemuser",
    "systemusers",
    "systemuserid",
    "fullname",
    _columns(
        *_of_kind("guid", "systemuserid applicationid azureactivedirectoryobjectid"),
        *_texts({"fullname": 200, "internalemailaddress": 100, "domainname": 1024}),
        Column("isdisabled", "boolean"),
        *_of_kind("datetime", "createdon modifiedon", read_only=True),
    ),
    writable=False,
)
ACTIVITY_STATES: States = {0: (1,), 1: (2,), 2: (3,), 3: (4,)}
TASK_STATES: States = {0: (2, 3, 4, 7), 1: (5,), 2: (6,)}


def _activity(logical: str, entity_set: str, states: States, extra: Iterable[Column]) -> Table:
    """An activity table; its regarding navigation is `regardingobjectid_<target>_<activity>`, as Microsoft names them."""
    nav = f"regardingobjectid_contact_{logical}"
    columns = [
        Column("activityid", "guid"),
        Column("subject", "string", 200),
        Column("description", "memo", 2000),
        Column("activitytypecode", "string", 64, read_only=True),
        Column("prioritycode", "integer"),
        *_of_kind("datetime", "scheduledstart scheduledend actualstart actualend"),
        Column("regardingobjectid", "lookup"),
        *SYSTEM,
    ]
    return Table(
        logical,
        entity_set,
        "activityid",
        "subject",
        _columns(*columns, *extra),
        {nav: Nav(nav, "regardingobjectid", "contact"), "ownerid": Nav("ownerid", "ownerid", "systemuser")},
        states,
        activity=True,
    )


def _mail(what: str, extra: dict[str, int] | None = None) -> Table:
    texts = _texts({"sb_campaignname": 200, "sb_deliveryname": 200, "sb_mirrorpageurl": 2000, **(extra or {})})
    logical = f"sb_email{what}"
    return _activity(logical, f"{logical}s", ACTIVITY_STATES, [*texts, Column("sb_eventdate", "datetime")])


TASK = _activity("task", "tasks", TASK_STATES, [Column("percentcomplete", "integer"), Column("category", "string", 250)])
TABLES = (
    CONTACT,
    SYSTEMUSER,
    TASK,
    _mail("send"),
    _mail("open"),
    _mail("click", {"sb_trackingurl": 2000}),
    _mail("bounce"),
)
BY_LOGICAL = {table.logical: table for table in TABLES}
BY_SET = {table.entity_set: table for table in TABLES}
POINTER = Table(
    "activitypointer",
    "activitypointers",
    "activityid",
    "subject",
    {name: c for name, c in TASK.columns.items() if name not in {"percentcomplete", "category"}},
    activity=True,
    writable=False,
)
