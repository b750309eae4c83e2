"""AWS Signature Version 4 of a request to one of Amazon's own services.

Source: AWS, "Create a signed AWS API request". botocore signs, but by the clock on the wall, so its steps are taken one by one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.auth import SigV4
    from shared.exchange import Request


def signed(request: Request, auth: SigV4, now: datetime) -> Request:
    """The request with the headers that prove who makes it."""
    # Imported here, as only an integration with Amazon signs.
    from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    signer = SigV4Auth(Credentials(auth.access_key_id, auth.secret_access_key.get_secret_value()), auth.service, auth.region)
    made = AWSRequest(request.method, request.url, headers=dict(request.headers), data=request.body)
    stamp = now.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
    made.context["timestamp"] = stamp
    made.headers["X-Amz-Date"] = stamp
    text = signer.string_to_sign(made, signer.canonical_request(made))
    scope, names = signer.scope(made), signer.signed_headers(signer.headers_to_sign(made))
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signer.signature(text, made)}"
    return replace(request, headers={**request.headers, "x-amz-date": stamp, "authorization": authorization})
