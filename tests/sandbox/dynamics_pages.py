"""A contact's timeline, as data and as a person reads it."""

from html import escape

from tests.sandbox.dynamics_schema import BY_LOGICAL
from tests.sandbox.dynamics_store import Row, Store
from tests.sandbox.esp_pages import STYLE


def timeline(store: Store, contact: str) -> list[Row]:
    """Every activity regarding a contact, oldest first. A `KeyError` when there is no such contact."""
    if contact not in store.rows["contact"]:
        raise KeyError(contact)
    rows = [row for row in store.activities() if row["_regardingobjectid_value"] == contact]
    return sorted((_shown(store, row) for row in rows), key=lambda row: (str(row["date"]), str(row["activityid"])))


def _shown(store: Store, row: Row) -> Row:
    """The facts of an activity without its empty columns."""
    facts = {name: value for name, value in row.items() if value is not None and "@" not in name}
    owner = store.rows["systemuser"].get(str(row["_ownerid_value"]), {})
    date = row.get("sb_eventdate") or row["scheduledend"] or row["createdon"]
    return facts | {"table": row["activitytypecode"], "date": date, "owner": owner.get("fullname")}


def timeline_page(store: Store, contact: str) -> str:
    """The timeline as HTML."""
    row = store.rows["contact"][contact]
    cards = "".join(_card(activity) for activity in reversed(timeline(store, contact))) or "<p>Nothing yet.</p>"
    name = escape(f"{row['fullname'] or 'No name'} <{row['emailaddress1'] or 'no address'}>")
    return f"<!doctype html>{STYLE}<title>{name}</title><p><a href=/timeline>contacts</a><h1>{name}</h1>{cards}"


def contacts_page(store: Store) -> str:
    """Every contact with the number of its activities."""
    rows = ""
    for key, row in store.rows["contact"].items():
        count = sum(len(store.having(t, "_regardingobjectid_value", key)) for t, x in BY_LOGICAL.items() if x.activity)
        name = escape(str(row["fullname"] or key))
        address = escape(str(row["emailaddress1"] or ""))
        rows += f'<tr><td><a href="/timeline/{key}">{name}</a><td>{address}<td>{count}</tr>'
    heads = "<tr><th>contact<th>address<th>activities</tr>"
    return f"<!doctype html>{STYLE}<title>Contacts</title><h1>Contacts</h1><table>{heads}{rows}</table>"


def _card(activity: Row) -> str:
    skip = {"subject", "date", "table", "activityid", "activitytypecode", "_ownerid_value", "_regardingobjectid_value"}
    facts = "".join(f"<tr><th>{escape(n)}<td>{_cell(v)}</tr>" for n, v in activity.items() if n not in skip)
    title = f"{escape(str(activity['date']))} · {escape(str(activity.get('subject')))}"
    return f"<h2>{title} <code>{escape(str(activity['table']))}</code></h2><table>{facts}</table>"


def _cell(value: object) -> str:
    text = escape(str(value))
    return f'<a href="{text}" rel=noreferrer>{text}</a>' if text.startswith(("http://", "https://")) else text
