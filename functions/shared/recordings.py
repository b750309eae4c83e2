"""What trackers told, kept for a while, so that a trigger can be tried on it before it is published.

The bucket `events` has an object for each batch that was worked off: JSON lines, packed, a tracker event in each. Objects lie by
the hour in which the first of their events came, and are called by the ids of all of them: the same batch again is the same
object. One that SQS put together otherwise repeats events, which whoever reads knows by their ids. A lifecycle rule expires them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.ids import digest
from shared.jobs import TrackerEvent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HOUR = "%Y-%m-%d/%H"

_LARGEST = 256 * 1024 * 1024
"""Bytes of an object, unpacked: a batch has a hundred jobs of 256 kB at most."""


@dataclass(frozen=True)
class Recording:
    """One object."""

    key: str
    size: int
    """Bytes, packed."""


class Recordings:
    """The bucket `events`."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def keep(self, events: Sequence[TrackerEvent]) -> None:
        """Keeps these events, of which there is at least one, in one object."""
        self._client.put_object(Bucket=self._bucket, Key=key_of(events), Body=packed(events), ContentType="application/gzip")

    def listed(self, since: datetime, after: str, most: int) -> list[Recording]:
        """The first objects, in the order of time, that have events since then and come after this key (`""` for none)."""
        begin = max(after, since.strftime(_HOUR))
        answer = self._client.list_objects_v2(Bucket=self._bucket, StartAfter=begin, MaxKeys=most)
        return [Recording(one["Key"], one["Size"]) for one in answer.get("Contents", [])]

    def url(self, recording: Recording, valid: timedelta) -> str:
        """Where anybody who has this URL may read the object for so long."""
        place = {"Bucket": self._bucket, "Key": recording.key}
        return self._client.generate_presigned_url("get_object", Params=place, ExpiresIn=round(valid.total_seconds()))


def key_of(events: Sequence[TrackerEvent]) -> str:
    """What the object of these events is called."""
    ids = sorted(f"{event.tracker} {event.id}" for event in events)
    return f"{min(event.received_at for event in events):{_HOUR}}/{digest('recording', *ids)}.jsonl.gz"


def hour_of(key: str) -> datetime:
    """The hour in which the first event of an object came. Raises ValueError if this is no key of one."""
    return datetime.strptime(key.rpartition("/")[0], _HOUR).replace(tzinfo=UTC)


def packed(events: Sequence[TrackerEvent]) -> bytes:
    """The events as the body of an object, the same for the same events."""
    lines = "\n".join(event.model_dump_json(exclude_defaults=True) for event in events)
    return gzip.compress(lines.encode(), 6, mtime=0)


def unpacked(body: bytes) -> Iterator[TrackerEvent]:
    """The events of an object. Raises ValueError if it holds none that can be read."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(body, _LARGEST)
    except zlib.error as error:
        raise ValueError("not packed by gzip") from error
    if not unpacker.eof:
        raise ValueError("cut off, or too large")
    for line in text.splitlines():
        yield TrackerEvent.model_validate_json(line)
