"""The ledger: what became of each message, from the decision to its last engagement, with its trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.clock import Clock, iso
from shared.errors import Transient
from shared.jobs import Engagement, Hop
from shared.ledger_rows import Facts, Message, as_message, expiry, facts_column, hops_column
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_AFTER = "#after"


class Ledger:
    """The messages table. `retention` is how many seconds after creation a row may be deleted."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, retention: int) -> None:
        self._client, self._table, self._clock, self._retention = client, table, clock, retention

    def skip(self, job: Facts, hops: Sequence[Hop]) -> bool:
        """Records that a message is not to be sent, unless it was. If it may have been, the reason is noted for who finds out.

        Whether it was this that kept it from being sent: once for each message.
        """
        columns: Row = {
            "facts": facts_column(job),
            "visit_id": {"S": job.visit_id},
            "created_at": {"S": iso(job.decided_at)},
            "expires_at": {"N": str(expiry(job, self._retention))},
            "status": {"S": "skipped"},
        }
        values: dict[str, AttributeValueTypeDef] = {f":{name}": value for name, value in columns.items()}
        sets = ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in columns if name != "status")
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": job.message_id}},
                UpdateExpression=f"SET {sets}, #status = :status, #trace = list_append(if_not_exists(#trace, :empty), :hops)",
                ConditionExpression="attribute_not_exists(pk)"
                " OR (#status IN (:waiting, :parked) AND (attribute_not_exists(tried_at) OR tried_at = :zero))",
                ExpressionAttributeNames={f"#{name}": name for name in (*columns, "trace")},
                ExpressionAttributeValues={
                    **values,
                    ":hops": hops_column(hops),
                    ":empty": {"L": []},
                    ":waiting": {"S": "waiting"},
                    ":parked": {"S": "parked"},
                    ":zero": {"N": "0"},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            self._cancel(job.message_id, hops[-1].reason)
            return False
        return True

    def _cancel(self, message_id: str, reason: str) -> None:
        self._unless_refused(
            Key={"pk": {"S": message_id}},
            UpdateExpression="SET cancelled = :reason",
            ConditionExpression="#status IN (:sending, :unknown, :parked)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":reason": {"S": reason},
                ":sending": {"S": "sending"},
                ":unknown": {"S": "unknown"},
                ":parked": {"S": "parked"},
            },
        )

    def explain(self, message: Message, hops: Sequence[Hop]) -> None:
        """Puts on the trace what led to a message that was skipped before its job was seen."""
        if not hops or hops[-1] in message.trace:
            return
        self._unless_refused(
            Key={"pk": {"S": message.id}},
            UpdateExpression="SET #trace = list_append(:hops, #trace)",
            ConditionExpression="NOT contains(#trace, :last)",
            ExpressionAttributeNames={"#trace": "trace"},
            ExpressionAttributeValues={":hops": hops_column(hops), ":last": hops_column(hops)["L"][0]},
        )

    def _unless_refused(self, **update: Any) -> None:  # boto3's own
        try:
            self._client.update_item(TableName=self._table, **update)
        except self._client.exceptions.ConditionalCheckFailedException:
            return

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
                ":hops": hops_column(hops),
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
        return {one: as_message(rows[one], rows.get(one + _AFTER)) for one in ids if one in rows}

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
