"""Settings of `admin_api`."""

from __future__ import annotations

import dataclasses

from shared import env

AWS_SERVICES = ("dynamodb", "s3", "secretsmanager", "sqs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(env.Settings):
    """Everything of a deployment that people may look at or mend."""

    definitions_table: str
    profiles_table: str
    messages_table: str
    visits_table: str
    state_table: str
    mirror_bucket: str
    events_bucket: str = ""
    """Where what trackers told is kept; empty if it is not."""
    event_days: int = 0
    """For how long."""
    secret_prefix: str
    base_url: str
    allowed_origins: tuple[str, ...] = ()
    retention_days: int
    """Days that the ledger keeps a message."""
    lease_seconds: int
    """How long one change of definitions may keep others waiting: a little more than this function's timeout."""
    events_queue_url: str
    events_parked_url: str
    timers_queue_url: str
    timers_parked_url: str
    messages_queue_url: str
    messages_parked_url: str
    engagements_queue_url: str
    engagements_parked_url: str
    crm_queue_urls: tuple[str, ...] = ()
    """`destination=url`, each."""
    crm_parked_urls: tuple[str, ...] = ()
    """`destination=url`, each."""

    @property
    def trial_seconds(self) -> float:
        """How long a test of an integration may take: API Gateway gives up after 30, and Lambda at this function's timeout."""
        return max(3, min(25, self.lease_seconds - 10))

    def queues(self) -> dict[str, tuple[str, str]]:
        """Each queue's URL and that of its parked queue, by the queue's name (`events`, `crm-dynamics`)."""
        parked = dict(pair.split("=", 1) for pair in self.crm_parked_urls)
        crm = (pair.split("=", 1) for pair in self.crm_queue_urls)
        return {
            "events": (self.events_queue_url, self.events_parked_url),
            "timers": (self.timers_queue_url, self.timers_parked_url),
            "messages": (self.messages_queue_url, self.messages_parked_url),
            "engagements": (self.engagements_queue_url, self.engagements_parked_url),
            **{f"crm-{name}": (url, parked[name]) for name, url in crm},
        }
