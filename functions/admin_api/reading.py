"""What is in the bodies of requests: models, and addresses."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from shared.emails import is_address
from shared.errors import BadRequest
from shared.fields import Channel
from shared.phones import is_e164
from shared.problem import first_problem

M = TypeVar("M", bound=BaseModel)


def read_as(model: type[M], body: JsonValue) -> M:
    """The body of a request. Raises BadRequest (422) that names the first field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])[:100]
        raise BadRequest(first_problem(error)[:500], field=where or "body", status=422) from error


def check_address(channel: Channel, address: str, field: str) -> None:
    """Raises BadRequest (422) if this is no address of the channel."""
    if not (is_e164 if channel == "sms" else is_address)(address):
        expected = "a phone number like +491701234567" if channel == "sms" else "an email address"
        raise BadRequest(f"{field}: expected {expected}", field=field, status=422)
