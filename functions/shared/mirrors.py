"""What was sent, kept as it was sent: the HTML that the mirror page shows, and the body that the ESP was given.

The body is kept so that a message that may have gone out already is posted again byte for byte: an ESP that honours an
idempotency key refuses another body under the same key, and a profile or a template may have changed meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Content:
    """A rendered message."""

    html: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    body: JsonValue = field(repr=False)
    """The JSON for the ESP."""
    url: str = field(repr=False)
    """Where it is posted to: the integration's URL with its placeholders filled in."""
    headers: Mapping[str, str] = field(repr=False)
    """Those of the integration's headers that hold placeholders, filled in."""
    segments: int = 0
    """How many a text message takes; 0 for an email."""


class Mirrors:
    """The bucket `mirror`: one private object a message, expired by the bucket's lifecycle rule."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def keep(self, message_id: str, content: Content) -> None:
        """Stores a message's content over what was there."""
        self._client.put_object(
            Bucket=self._bucket,
            Key=_key(message_id),
            Body=json.dumps(asdict(content)).encode(),
            ContentType="application/json",
        )

    def read(self, message_id: str) -> Content | None:
        """A message's content; None if there is none, or no longer."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=_key(message_id))
        except self._client.exceptions.NoSuchKey:
            return None
        return Content(**json.loads(answer["Body"].read()))


def _key(message_id: str) -> str:
    return f"{message_id}.json"
