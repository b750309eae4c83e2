"""The kinds of values that definitions are made of, each with what makes it valid."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+", max_length=2000)]
EventName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_@$-]+(\.[A-Za-z0-9_@$-]+)*$", max_length=200)]
"""Where a value is in a JSON body: keys and list positions joined by dots."""

Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
"""The logical name of a table's column."""

_OURS = "host|content-length|transfer-encoding|connection|te|trailer|upgrade|expect|keep-alive|accept-encoding|proxy-.*"
"""Headers that say where a request goes or ends (RFC 9110, section 7.6.1), and so are not a user's to set."""


def _is_value(value: str | SecretStr) -> str | SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not re.fullmatch(r"[!-~]([ \t!-~]*[!-~])?", text):
        raise ValueError("a header's value is ASCII on one line, without spaces around it")
    return value


def _is_free(name: str) -> str:
    if re.fullmatch(_OURS, name, re.IGNORECASE):
        raise ValueError("this header is set by Sendbridge itself")
    return name


Channel = Literal["email", "sms"]

ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day, as `21:30`."""


def _is_zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("a time zone of the IANA database, as Europe/Berlin")
    return name


Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_is_zone)]
"""The name of a time zone of the IANA database."""


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), AfterValidator(_is_free)]
"""The name of a header that is ours to send: not one that says where a request goes or ends, as `Host` does."""

HeaderValue = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_is_value)]
"""ASCII on one line."""

SecretHeaderValue = Annotated[SecretStr, AfterValidator(_is_value)]
"""ASCII on one line."""


class Part(BaseModel):
    """What all definitions, and the parts of them, have in common."""

    # An error names the field and what was expected; the value may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, serialize_by_alias=True)


class Definition(Part):
    """What all definitions have."""

    name: Name
    description: Annotated[str, StringConstraints(max_length=500)] = ""


class Cap(Part):
    """At most so many messages to one person in so many hours."""

    times: int = Field(ge=1, le=100)
    hours: int = Field(default=24, ge=1, le=24 * 31)


class Hmac(Part):
    """A signature of the body by a shared secret, where the sender follows no standard."""

    header: HeaderName = "x-signature"
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Annotated[str, StringConstraints(max_length=50)] = ""
    """What stands before the signature in its header, as `sha256=`."""
    timestamp_header: HeaderName | Literal[""] = ""
    """Where the time of signing is, in Unix seconds. It is then part of what is signed, and old posts are refused."""
    separator: Annotated[str, StringConstraints(max_length=5)] = "."
    """What stands between the time and the body in what is signed."""


class Limit(Part):
    """How many messages an ESP takes in a time, by all running functions together."""

    messages: int = Field(ge=1, le=1_000_000)
    seconds: float = Field(default=1, ge=0.1, le=86_400)
