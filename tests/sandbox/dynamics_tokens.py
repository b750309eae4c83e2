"""Entra ID's token endpoint for client credentials, with its AADSTS errors."""

import hmac
import re
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from tests.sandbox.clock import iso

# AADSTS code -> (HTTP status, OAuth error, text). 900144, 70003 and 7000218 are general knowledge.
ERRORS = {
    7000215: (401, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the "
              "client secret value, not the client secret ID."),
    7000222: (401, "invalid_client", "The provided client secret keys are expired."),
    7000218: (401, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or "
              "'client_secret'."),
    700016: (400, "unauthorized_client", "Application was not found in the directory."),
    90002: (400, "invalid_request", "Tenant not found. Check to make sure you have the correct tenant ID."),
    900144: (400, "invalid_request", "The request body must contain the following parameter: 'grant_type'."),
    70003: (400, "unsupported_grant_type", "The app requested an unsupported grant type."),
    500011: (400, "invalid_resource", "The resource principal was not found in the tenant."),
    70011: (400, "invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    1002012: (400, "invalid_scope", "The provided value for scope is not valid. Client credential flows must have a scope "
              "value with /.default suffixed to the resource identifier (application ID URI)."),
}  # fmt: skip


@dataclass(frozen=True)
class Registration:
    """The application registered in the tenant, and the resource it may ask for."""

    tenant: str
    client_id: str
    client_secret: str
    secret_expired: bool
    resource: str


def problem(registration: Registration, tenant: str, content_type: str, body: bytes) -> int | None:
    """The AADSTS code of what is wrong with a token request, None when nothing is."""
    form = {name: values[-1] for name, values in parse_qs(body.decode("latin-1"), keep_blank_values=True).items()}
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded" or "grant_type" not in form:
        return 900144
    if tenant != registration.tenant:
        return 90002
    if form["grant_type"] != "client_credentials":
        return 70003
    return _scope(registration, form.get("scope", "")) or _client(registration, form)


def _scope(registration: Registration, scope: str) -> int | None:
    if not re.fullmatch(r"\S+", scope):
        return 70011
    if not scope.endswith("/.default"):
        return 1002012
    return None if scope.removesuffix("/.default").rstrip("/") == registration.resource else 500011


def _client(registration: Registration, form: dict[str, str]) -> int | None:
    if form.get("client_id", "").lower() != registration.client_id:
        return 700016
    if "client_secret" not in form:
        return 7000218
    if not hmac.compare_digest(form["client_secret"].encode(), registration.client_secret.encode()):
        return 7000215
    return 7000222 if registration.secret_expired else None


def refusal(code: int, now: float) -> Response:
    """Entra's answer for an AADSTS code."""
    status, error, text = ERRORS[code]
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    stamp = iso(now, "seconds").replace("T", " ")
    description = f"AADSTS{code}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}"
    body = {"error": error, "error_description": description, "error_codes": [code], "timestamp": stamp}
    body |= {"trace_id": trace, "correlation_id": correlation}
    body |= {"error_uri": f"https://login.microsoftonline.com/error?code={code}"}
    return JSONResponse(body, status, {"Cache-Control": "no-store, no-cache"})


def grant(token: str, seconds: int) -> Response:
    """Entra's answer with a token."""
    body = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
    return JSONResponse(body, headers={"Cache-Control": "no-store, no-cache"})
