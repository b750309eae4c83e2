"""`EntityDefinitions(LogicalName='…')`: whether a table exists, what it is called, its columns and navigations."""

import re
import uuid

from tests.sandbox.dynamics_errors import ODataError, no_segment, not_allowed
from tests.sandbox.dynamics_query import options_of, parse_query, selection
from tests.sandbox.dynamics_schema import BY_LOGICAL, Column, Table

_TYPES = {
    "string": "String",
    "memo": "Memo",
    "integer": "Integer",
    "boolean": "Boolean",
    "datetime": "DateTime",
    "date": "DateTime",
    "guid": "Uniqueidentifier",
    "lookup": "Lookup",
}


def _described(name: str, texts: str, flags: str = "") -> Table:
    """A metadata type, described as if it were a table, so that `$select` and `$filter` work on it."""
    columns = {n: Column(n, "string") for n in texts.split()} | {n: Column(n, "boolean") for n in flags.split()}
    return Table(name, name, "MetadataId", "LogicalName", {"MetadataId": Column("MetadataId", "guid"), **columns})


ENTITY = _described(
    "EntityMetadata",
    "LogicalName SchemaName EntitySetName LogicalCollectionName PrimaryIdAttribute PrimaryNameAttribute",
    "IsActivity IsCustomEntity ChangeTrackingEnabled",
)
RELATIONSHIP = _described(
    "OneToManyRelationshipMetadata",
    "SchemaName ReferencingAttribute ReferencingEntity ReferencedAttribute ReferencedEntity "
    "ReferencingEntityNavigationPropertyName",
)
ATTRIBUTE = _described("AttributeMetadata", "LogicalName AttributeType EntityLogicalName")
Facts = dict[str, object]


def definition(method: str, key: str | None, rest: str, raw: str, root: str) -> Facts:
    """The answer to a metadata GET. Raises `ODataError` 404 for a table that is not installed."""
    if method != "GET":
        raise not_allowed(method)
    named = re.fullmatch(r"LogicalName='(\w+)'", key or "")
    table = BY_LOGICAL.get(named[1]) if named else None
    if table is None:
        message = f"Could not find an entity with name {named[1] if named else key} and no id."
        raise ODataError(404, "0x80060888", message)
    if rest == "":
        names = selection(ENTITY, options_of(raw))
        facts = _entity(table)
        return {"@odata.context": f"{root}$metadata#EntityDefinitions/$entity"} | _picked(facts, names)
    return {"@odata.context": f"{root}$metadata#EntityDefinitions"} | _part(table, rest.removeprefix("/"), raw)


def _part(table: Table, name: str, raw: str) -> Facts:
    parts = {"ManyToOneRelationships": (RELATIONSHIP, _relationships), "Attributes": (ATTRIBUTE, _attributes)}
    if name not in parts:
        raise no_segment(name)
    described, list_all = parts[name]
    query = parse_query(described, raw)
    return {"value": [_picked(facts, query.select) for facts in list_all(table) if query.filter.passes(facts)]}


def _picked(facts: Facts, names: list[str]) -> Facts:
    return {name: facts[name] for name in dict.fromkeys([*names, "MetadataId"])}


def _id(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(parts)))


def _entity(table: Table) -> Facts:
    custom = table.logical.startswith("sb_")
    return {
        "MetadataId": _id(table.logical),
        "LogicalName": table.logical,
        "SchemaName": table.logical if custom else table.logical.capitalize(),
        "EntitySetName": table.entity_set,
        "LogicalCollectionName": table.entity_set,
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": table.primary_name,
        "IsActivity": table.activity,
        "IsCustomEntity": custom,
        "ChangeTrackingEnabled": table.logical == "contact",
    }


def _relationships(table: Table) -> list[Facts]:
    return [
        {
            "MetadataId": _id(table.logical, nav.name),
            "SchemaName": f"{nav.target}_{table.logical}_{nav.column}",
            "ReferencingAttribute": nav.column,
            "ReferencingEntity": table.logical,
            "ReferencedAttribute": BY_LOGICAL[nav.target].primary_id,
            "ReferencedEntity": nav.target,
            "ReferencingEntityNavigationPropertyName": nav.name,
        }
        for nav in table.navs.values()
    ]


def _attributes(table: Table) -> list[Facts]:
    return [
        {
            "MetadataId": _id(table.logical, "column", column.name),
            "LogicalName": column.name,
            "AttributeType": _TYPES[column.kind],
            "EntityLogicalName": table.logical,
        }
        for column in table.columns.values()
    ]
