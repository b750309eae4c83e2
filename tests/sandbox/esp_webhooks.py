"""Postbird's webhooks: signed, batched, repeated, out of order, retried with growing delay."""

import asyncio
import contextlib
import json
import random
import secrets
import time
from collections.abc import Iterable
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tests.sandbox.clock import Clock
from tests.sandbox.esp_events import Event
from tests.sandbox.standard_webhooks import broken, headers, key_of

Spoil = Literal["signature", "timestamp", "body"]
MAX_AT_ONCE = 8


class Webhook(BaseModel):
    """Where events are posted and how they are signed."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(pattern=r"^https?://")
    secret: str

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, secret: str) -> str:
        key_of(secret)
        return secret


class Pace(BaseModel):
    """How events are posted. Seconds are real seconds; shares are probabilities."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["auto", "manual"] = "auto"
    seed: int = 1
    delay_seconds: float = Field(default=0.3, ge=0.01)
    batch_max: int = Field(default=20, ge=1)
    repeat_share: float = Field(default=0.25, ge=0, lt=1)
    late_share: float = Field(default=0.3, ge=0, lt=1)
    timeout_seconds: float = Field(default=15, gt=0)
    retry_seconds: float = Field(default=0.2, gt=0)
    retry_max_seconds: float = Field(default=5, gt=0)
    give_up_seconds: float = Field(default=120, ge=0)


class Delivery(BaseModel):
    """One POST to the webhook and every attempt at it; `webhook_id` stays the same over all of them."""

    webhook_id: str
    body: str
    event_ids: list[str]
    spoil: Spoil | None = None
    attempts: list[dict[str, object]] = []
    outcome: Literal["pending", "delivered", "gave_up", "disabled"] = "pending"


class Poster:
    """Holds the events not yet posted and posts them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pace = Pace()
        self.webhook: Webhook | None = None
        self.deliveries: list[Delivery] = []
        self.reset()

    def reset(self) -> None:
        """Forget the events and deliveries; the webhook and the pace stay."""
        self.random = random.Random(self.pace.seed)
        self.due: list[tuple[float, Event]] = []
        for delivery in self.deliveries:
            if delivery.outcome == "pending":  # its retries stop here
                delivery.outcome = "gave_up"
        self.deliveries = []

    def set_pace(self, pace: Pace) -> None:
        """Change how events are posted; restarts the randomness from its seed."""
        self.pace, self.random = pace, random.Random(pace.seed)

    def schedule(self, events: Iterable[Event]) -> None:
        """In auto mode: events that follow each other `delay_seconds` apart from now."""
        if self.pace.mode == "auto":
            now = self.clock.real()
            self.due += [(now + n * self.pace.delay_seconds, event) for n, event in enumerate(events, 1)]

    async def run(self) -> None:
        """Post what is due until cancelled. Events wait while there is no webhook."""
        async with self._client() as client, asyncio.TaskGroup() as tasks:
            self.client, self.tasks, self.slots = client, tasks, asyncio.Semaphore(MAX_AT_ONCE)
            while True:
                await asyncio.sleep(self.pace.delay_seconds / 2)
                for delivery in self._collect():
                    tasks.create_task(self._deliver(delivery))

    async def post(self, body: bytes, event_ids: list[str], spoil: Spoil | None) -> Delivery:
        """Post one body now and wait for the first attempt; a failed one goes on being retried, unless spoilt."""
        delivery = self._new(body, event_ids, spoil)
        wait = await self._attempt(delivery)
        if wait is not None and spoil is None:
            self.tasks.create_task(self._retry(delivery, wait))
        return delivery

    async def again(self, delivery: Delivery) -> None:
        """Post a delivery once more, under its webhook-id."""
        await self._attempt(delivery)

    def batch(self, events: list[Event]) -> tuple[bytes, list[str]]:
        """The body for these events, and their ids."""
        return json.dumps({"events": events}, ensure_ascii=False).encode(), [str(e["id"]) for e in events]

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers={"user-agent": "Postbird-Webhooks/1.0"}, trust_env=False)

    def _new(self, body: bytes, event_ids: list[str], spoil: Spoil | None = None) -> Delivery:
        delivery = Delivery(
            webhook_id="wh_" + secrets.token_hex(12),
            body=body.decode("utf-8", "surrogateescape"),
            event_ids=event_ids,
            spoil=spoil,
        )
        self.deliveries.append(delivery)
        return delivery

    def _collect(self) -> list[Delivery]:
        """What is due now, shuffled into batches; some held back, some put in again for later."""
        if self.webhook is None:
            return []
        now, pace = self.clock.real(), self.pace
        ready = [event for at, event in self.due if at <= now]
        self.due = [(at, event) for at, event in self.due if at > now]
        late = [event for event in ready if self.random.random() < pace.late_share]
        repeated = [event for event in ready if self.random.random() < pace.repeat_share]
        self.due += [(now + 2.5 * pace.delay_seconds, event) for event in late]
        self.due += [(now + 4 * pace.delay_seconds, event) for event in repeated if event not in late]
        return [self._new(*self.batch(part)) for part in self._parts([e for e in ready if e not in late])]

    def _parts(self, events: list[Event]) -> list[list[Event]]:
        self.random.shuffle(events)
        parts = []
        while events:
            size = self.random.randint(1, self.pace.batch_max)
            parts.append(events[:size])
            events = events[size:]
        return parts

    async def _deliver(self, delivery: Delivery) -> None:
        wait = await self._attempt(delivery)
        if wait is not None:
            await self._retry(delivery, wait)
        if delivery.outcome == "delivered" and self.random.random() < self.pace.repeat_share:
            await self._attempt(delivery)

    async def _retry(self, delivery: Delivery, asked: float) -> None:
        """Try again with doubling delay, never sooner than the receiver `asked`, until it is time to give up."""
        wait, deadline = self.pace.retry_seconds, time.monotonic() + self.pace.give_up_seconds
        while time.monotonic() + max(wait, asked) < deadline:
            await asyncio.sleep(max(wait, asked))
            if delivery.outcome != "pending":
                return
            answered = await self._attempt(delivery)
            if answered is None:
                return
            wait, asked = min(2 * wait, self.pace.retry_max_seconds), answered
        delivery.outcome = "gave_up"

    async def _attempt(self, delivery: Delivery) -> float | None:
        """One attempt. None when it is settled, else the seconds the receiver asked to wait."""
        async with self.slots:
            status, retry_after, error = await self._send(delivery)
        delivery.attempts.append({"time": self.clock.real(), "status": status, "error": error})
        if 200 <= status < 300:
            delivery.outcome = "delivered"
        elif status == 410:
            delivery.outcome, self.webhook = "disabled", None
        return retry_after if delivery.outcome == "pending" else None

    async def _send(self, delivery: Delivery) -> tuple[int, float, str | None]:
        if self.webhook is None:
            return 0, 0.0, "no webhook is set"
        body = delivery.body.encode("utf-8", "surrogateescape")
        stamp = int(self.clock.real()) - (3600 if delivery.spoil == "timestamp" else 0)
        signed = headers(self.webhook.secret, delivery.webhook_id, stamp, body)
        signed = broken(signed) if delivery.spoil == "signature" else signed
        body = body + b" " if delivery.spoil == "body" else body
        try:
            timeout = self.pace.timeout_seconds
            answer = await self.client.post(self.webhook.url, content=body, headers=signed, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, 0.0, type(error).__name__
        return answer.status_code, _seconds(answer.headers.get("retry-after")), None


def _seconds(retry_after: str | None) -> float:
    with contextlib.suppress(ValueError):
        return float(retry_after or 0)
    return 0.0
