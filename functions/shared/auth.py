"""How a vendor is told who we are: settings only. `shared/tokens.py` does it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from shared.fields import HeaderName, HeaderValue, Part, Path, Url

Scheme = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,49}$")]


class NoAuth(Part):
    """No authentication beyond the integration's headers."""

    type: Literal["none"] = "none"


class BasicAuth(Part):
    """User and password in every request."""

    type: Literal["basic"]
    username: Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f\x7f]*$")]
    password: SecretStr


class BearerAuth(Part):
    """A key that does not expire, in the `Authorization` header."""

    type: Literal["bearer"]
    token: SecretStr
    scheme: Scheme = "Bearer"
    """What stands before it."""


class OAuth2(Part):
    """OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

    type: Literal["oauth2"]
    token_url: Url
    client_id: str
    client_secret: SecretStr
    client_id_key: str = "client_id"
    client_secret_key: str = "client_secret"
    send_credentials_in: Literal["body", "header"] = "body"
    scope: str = ""
    audience: str = ""
    parameters: dict[str, str] = Field(default_factory=dict)
    """More fields of the token request."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """More headers of the token request."""
    encoding: Literal["form", "json"] = "form"
    """Of the token request's body. RFC 6749 has a form; some vendors want JSON."""
    scheme: Scheme = "Bearer"
    """What stands before the token in the `Authorization` header."""
    token_field: Path = "access_token"
    lifetime_field: Path = "expires_in"
    default_lifetime_seconds: int = Field(default=300, ge=10)
    """Used when the answer names no lifetime."""


class SigV4(Part):
    """AWS Signature Version 4, for Amazon's own services."""

    type: Literal["sigv4"]
    access_key_id: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{16,128}$")]
    secret_access_key: SecretStr
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
    service: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")] = "ses"


Auth = Annotated[NoAuth | BasicAuth | BearerAuth | OAuth2 | SigV4, Field(discriminator="type")]
