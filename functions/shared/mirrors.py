"""What was sent, kept as it was sent: the HTML that the mirror page shows, and the body that the ESP was given.

The body is kept so that a message that may have gone out already is posted again byte for byte: an ESP that honours an
idempotency key refuses another body under the same key, and a profile or a template may have changed meanwhile.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue
from pydantic_core import to_json

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
    """The bucket `mirror`: the messages of one batch are in one private object, expired by the bucket's lifecycle rule."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def keep(self, name: str, contents: Sequence[Content]) -> list[str]:
        """Stores messages under a name that nobody uses twice. Returns where each of them is."""
        parts = [to_json(vars(content)) for content in contents]
        self._client.put_object(Bucket=self._bucket, Key=name, Body=b"".join(parts), ContentType="application/octet-stream")
        starts = itertools.accumulate(map(len, parts), initial=0)
        return [f"{name}:{start}-{start + len(part) - 1}" for start, part in zip(starts, parts, strict=False)]

    def read(self, kept: str) -> Content | None:
        """The content that is kept there; None if there is none, or no longer."""
        name, _, part = kept.rpartition(":")
        if not name:
            return None
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=name, Range=f"bytes={part}")
        except self._client.exceptions.NoSuchKey:
            return None
        return Content(**json.loads(answer["Body"].read()))
