"""The Web API's errors. Codes and texts from Microsoft's documentation unless a comment says otherwise."""

from typing import NoReturn

HELP = "For more information on this error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293"


class ODataError(Exception):
    """A refusal: HTTP status, Dataverse's code, its message and any headers of the answer."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self) -> dict[str, object]:
        """The answer's JSON."""
        return {"error": {"code": self.code, "message": self.message}}


def no_segment(name: str) -> ODataError:
    return ODataError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")


def no_method(url: str) -> ODataError:
    return ODataError(404, "", f"No HTTP resource was found that matches the request URI '{url}'.")


def not_allowed(method: str) -> ODataError:
    # Status documented, wording not.
    return ODataError(405, "0x80060888", f"The requested resource does not support http method '{method}'.")


def no_property(name: str, table: str) -> ODataError:
    message = f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'."
    return ODataError(400, "0x0", message)


def bad_query(message: str) -> ODataError:
    return ODataError(400, "0x80060888", message)


def bad_payload(table_set: str, reason: str) -> ODataError:
    message = f"Error identified in Payload provided by the user for Entity :'{table_set}', {HELP}  ----> {reason}"
    return ODataError(400, "0x80048d19", message)


def undeclared(name: str, table_set: str) -> ODataError:
    reason = (
        f"InnerException : Microsoft.OData.ODataException: An undeclared property '{name}' which only has property "
        "annotations in the payload but no property value was found in the payload. In OData, only declared navigation "
        "properties and declared named streams can be represented as properties without values."
    )
    return bad_payload(table_set, reason)


def missing(table: str, key: str) -> ODataError:
    return ODataError(404, "0x80040217", f"{table} With Id = {key} Does Not Exist")


def exists() -> ODataError:
    return ODataError(412, "0x80040237", "A record with matching key values already exists.")


def stale() -> ODataError:
    message = "The version of the existing record doesn't match the RowVersion property provided."
    return ODataError(412, "0x80060882", message)


def bad_key(table: str) -> ODataError:
    message = (
        f"The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{table}'. Ensure that the names "
        "and number of key properties match the declared or alternate key properties for the "
        f"'Microsoft.Dynamics.CRM.{table}' resource."
    )
    return ODataError(400, "0x80060888", message)


def too_long(column: str, table: str, limit: int) -> NoReturn:
    message = (
        f"A validation error occurred. The length of the '{column}' attribute of the '{table}' entity exceeded the "
        f"maximum allowed length of '{limit}'."
    )
    raise ODataError(400, "0x80044331", message)


def no_privilege(action: str, table: str, user: str) -> ODataError:
    message = (
        f"Principal user (Id={user}, type=8, roleCount=1, privilegeCount=42) is missing prv{action}{table} privilege "
        f"on OTC=10200 for entity '{table}'."
    )
    return ODataError(403, "0x80040220", message)


def not_a_member(user: str) -> ODataError:
    # The code is general knowledge: an app registration without an application user in the environment.
    return ODataError(403, "0x80072560", f"The user with id {user} is not a member of the organization.")
