"""The ledger: what became of each message, from the decision to its last engagement, with its trace.

A message has a row of its own until it is sent, and a second one, under its id and `#after`, for all that comes then. Writing a
row costs by its whole size, and most writes come after the send: one row for everything would cost twice as much.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

from shared.clock import Clock, from_iso, iso
from shared.errors import Transient
from shared.jobs import Engagement, Hop, MessageJob
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_AFTER = "#after"

Status = Literal["sending", "waiting", "sent", "skipped", "parked"]

"""`sent` and `skipped` are final. A parked message is tried again when a person sends it back to its queue."""


@dataclass(frozen=True)
class Message:
    """A message as the ledger has it."""

    id: str
    status: Status
    trigger: str
    visit_id: str
    profile_id: str | None
    campaign: str
    delivery: str
    integration: str
    created_at: datetime
    attempts: int
    lease_until: float
    esp_message_id: str
    trace: tuple[Hop, ...]
    engagements: Mapping[str, str]
    """Engagement id → its type, of those recorded."""


@dataclass(frozen=True)
class Claim:
    """The result of asking to send a message: `mine` if it is ours to send; `again` if an earlier attempt may have gone out."""

    mine: bool
    again: bool
    message: Message


class Ledger:
    """The messages table. `retention` is how many seconds after creation a row may be deleted."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, retention: int) -> None:
        self._client, self._table, self._clock, self._retention = client, table, clock, retention

    def claim(self, job: MessageJob, lease_seconds: int) -> Claim:
        """Takes the message for `lease_seconds`, creating its row: at most one caller has it at a time, none once it is done."""
        now, claimed_by = self._clock().timestamp(), uuid.uuid4().hex
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": job.message_id}},
                UpdateExpression=_CREATE + ", trace = if_not_exists(trace, :hops), #status = :sending, lease_until = :until,"
                " claimed_by = :claim ADD attempts :one, unsettled :one",
                ConditionExpression="attribute_not_exists(pk) OR #status IN (:waiting, :parked)"
                " OR (#status = :sending AND lease_until < :now)",
                ExpressionAttributeNames={"#status": "status", "#trigger": "trigger"},
                ExpressionAttributeValues={
                    **self._created(job),
                    ":hops": _hops(job.hops),
                    ":claim": {"S": claimed_by},
                    ":sending": {"S": "sending"},
                    ":waiting": {"S": "waiting"},
                    ":parked": {"S": "parked"},
                    ":until": {"N": str(now + lease_seconds)},
                    ":now": {"N": str(now)},
                    ":one": {"N": "1"},
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            row: Row = refused.response["Item"]  # type: ignore[typeddict-item]  # there, as we ask for ALL_OLD
            # Unless it was our own call that came first: the AWS client repeats one whose answer was lost.
            if row.get("claimed_by") != {"S": claimed_by}:
                return Claim(False, False, _message(row))
        else:
            row = answer["Attributes"]
        return Claim(True, int(row["unsettled"]["N"]) > 1, _message(row))

    def settle(
        self, message_id: str, status: Status, hops: Sequence[Hop], esp_message_id: str = "", *, unknown: bool = False
    ) -> None:
        """Writes what became of a claimed message and frees it. `waiting` and `parked` may be claimed again.

        `unknown` if it may have gone out: then the next claim says so.
        """
        self._set(
            message_id,
            "SET #status = :status, esp_message_id = :esp, trace = list_append(trace, :hops) REMOVE lease_until, claimed_by"
            + ("" if unknown else ", unsettled"),
            {":status": {"S": status}, ":esp": {"S": esp_message_id}, ":hops": _hops(hops)},
            {"#status": "status"},
        )

    def skip(self, job: MessageJob, hops: Sequence[Hop]) -> bool:
        """Records a message that is not to be sent. False, having changed nothing, if it was or may have been."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": job.message_id}},
                UpdateExpression=_CREATE + ", trace = list_append(if_not_exists(trace, :before), :hops), #status = :skipped",
                ConditionExpression="attribute_not_exists(pk)"
                " OR (#status IN (:waiting, :parked) AND attribute_not_exists(unsettled))",
                ExpressionAttributeNames={"#status": "status", "#trigger": "trigger"},
                ExpressionAttributeValues={
                    **self._created(job),
                    ":before": _hops(job.hops),
                    ":hops": _hops(hops),
                    ":waiting": {"S": "waiting"},
                    ":parked": {"S": "parked"},
                    ":skipped": {"S": "skipped"},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def record(self, message_id: str, engagements: Iterable[Engagement], hops: Sequence[Hop]) -> None:
        """Adds engagements that are new to a message, with their hops.

        Raises Transient, having changed nothing, if somebody else recorded one of them meanwhile.
        """
        types = {engagement.id: engagement.type for engagement in engagements}
        names = {f"#e{index}": key for index, key in enumerate(types)}
        values: dict[str, AttributeValueTypeDef] = {f":e{index}": {"S": kind} for index, kind in enumerate(types.values())}
        sets = "".join(f", {name} = {value}" for name, value in zip(names, values, strict=True))
        condition = " AND ".join(f"attribute_not_exists({name})" for name in names)
        try:
            self._append(message_id, hops, more=sets, condition=condition, values=values, ExpressionAttributeNames=names)
        except self._client.exceptions.ConditionalCheckFailedException:
            raise Transient("the message's row was changed by another", retry_after=1) from None

    def note_once(self, message_id: str, hops: Mapping[str, Hop]) -> None:
        """Adds those hops to a message's trace whose key was not noted before."""
        while hops:
            try:
                self._note(message_id, hops)
            except self._client.exceptions.ConditionalCheckFailedException as refused:
                row: Row = refused.response["Item"]  # type: ignore[typeddict-item]  # there, as we ask for ALL_OLD
                hops = {key: hop for key, hop in hops.items() if key not in row["noted"]["SS"]}
            else:
                return

    def _note(self, message_id: str, hops: Mapping[str, Hop]) -> None:
        keys: dict[str, AttributeValueTypeDef] = {f":k{index}": {"S": key} for index, key in enumerate(hops)}
        values: dict[str, AttributeValueTypeDef] = {**keys, ":keys": {"SS": [*hops]}}
        condition = " AND ".join(f"NOT contains(noted, {name})" for name in keys)
        self._append(
            message_id,
            [*hops.values()],
            more=" ADD noted :keys",
            condition=condition,
            values=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _append(
        self,
        message_id: str,
        hops: Sequence[Hop],
        *,
        more: str,
        condition: str,
        values: Mapping[str, AttributeValueTypeDef],
        **options: Any,  # boto3's own
    ) -> None:
        """Writes to the row of what came after the send, which the first such write makes."""
        expires = int(self._clock().timestamp()) + self._retention
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": message_id + _AFTER}},
            UpdateExpression="SET trace = list_append(if_not_exists(trace, :none), :hops),"
            f" expires_at = if_not_exists(expires_at, :expires){more}",
            ConditionExpression=condition,
            ExpressionAttributeValues={
                **values,
                ":hops": _hops(hops),
                ":none": {"L": []},
                ":expires": {"N": str(expires)},
            },
            **options,
        )

    def read(self, message_id: str) -> Message | None:
        """One message, consistently; None if there is no row."""
        return self.read_all([message_id]).get(message_id)

    def read_all(self, message_ids: Iterable[str]) -> dict[str, Message]:
        """Those of these messages that have a row, by id, read consistently."""
        ids = [*dict.fromkeys(message_ids)]
        rows = read_rows(self._client, self._table, [key for one in ids for key in (one, one + _AFTER)])
        return {one: _message(rows[one], rows.get(one + _AFTER)) for one in ids if one in rows}

    def of_visit(self, visit_id: str) -> list[str]:
        """Ids of the newest hundred messages of a visit, newest first."""
        answer = self._client.query(
            TableName=self._table,
            IndexName="by_visit",
            KeyConditionExpression="visit_id = :visit",
            ExpressionAttributeValues={":visit": {"S": visit_id}},
            ScanIndexForward=False,
            Limit=100,
        )
        return [item["pk"]["S"] for item in answer["Items"]]

    def _created(self, job: MessageJob) -> dict[str, AttributeValueTypeDef]:
        return {
            ":trigger": {"S": job.trigger},
            ":visit": {"S": job.visit_id},
            ":profile": {"S": job.profile_id or ""},
            ":campaign": {"S": job.campaign},
            ":delivery": {"S": job.delivery},
            ":integration": {"S": job.integration},
            ":created": {"S": iso(job.decided_at)},
            ":none": {"S": ""},
            ":expires": {"N": str(int(job.decided_at.timestamp()) + self._retention)},
        }

    def _set(
        self,
        message_id: str,
        update: str,
        values: Mapping[str, AttributeValueTypeDef],
        names: Mapping[str, str],
    ) -> None:
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": message_id}},
            UpdateExpression=update,
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )


_CREATE = (
    "SET #trigger = :trigger, visit_id = :visit, profile_id = :profile, campaign = :campaign, delivery = :delivery,"
    " integration = :integration, created_at = :created, expires_at = :expires,"
    " esp_message_id = if_not_exists(esp_message_id, :none)"
)


def _hops(hops: Sequence[Hop]) -> AttributeValueTypeDef:
    return {"L": [{"S": hop.model_dump_json(exclude_defaults=True)} for hop in hops]}


def _message(item: Row, after: Row | None = None) -> Message:
    later: Row = after or {}
    hops = [*item["trace"]["L"], *(later["trace"]["L"] if later else ())]
    return Message(
        id=item["pk"]["S"],
        status=item["status"]["S"],  # type: ignore[arg-type]  # written by this class only
        trigger=item["trigger"]["S"],
        visit_id=item["visit_id"]["S"],
        profile_id=item["profile_id"]["S"] or None,
        campaign=item["campaign"]["S"],
        delivery=item["delivery"]["S"],
        integration=item["integration"]["S"],
        created_at=from_iso(item["created_at"]["S"]),
        attempts=int(item["attempts"]["N"]) if "attempts" in item else 0,
        lease_until=float(item["lease_until"]["N"]) if "lease_until" in item else 0,
        esp_message_id=item["esp_message_id"]["S"],
        trace=tuple(sorted((Hop.model_validate_json(hop["S"]) for hop in hops), key=lambda hop: hop.at)),
        engagements={key: value["S"] for key, value in later.items() if key.startswith("e_")},
    )


def as_json(message: Message) -> dict[str, JsonValue]:
    """A message as the admin API shows it."""
    return {
        "message_id": message.id,
        "status": message.status,
        "trigger": message.trigger,
        "visit_id": message.visit_id,
        "profile_id": message.profile_id,
        "campaign": message.campaign,
        "delivery": message.delivery,
        "integration": message.integration,
        "created_at": iso(message.created_at),
        "attempts": message.attempts,
        "esp_message_id": message.esp_message_id,
        "engagements": dict(message.engagements),
        "trace": [json.loads(hop.model_dump_json()) for hop in message.trace],
    }
