"""What a deployment can choose, per environment, in `cdk.json` under `context.environments`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Days = Annotated[int, Field(ge=1, le=3650)]
Seconds = Annotated[int, Field(ge=1, le=43_200)]
# The periods that CloudWatch Logs can keep a group for.
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]


class SettingsError(Exception):
    """The settings cannot be used; the message is one sentence that names the setting and what was expected."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Jwt(_Part):
    """Lets people in with a token of this issuer, instead of with AWS credentials."""

    issuer: Annotated[str, Field(pattern=r"^https://")]
    audience: Annotated[list[str], Field(min_length=1)]


class Environment(_Part):
    """One deployment. `account` and `region` default to those of the CDK command line's credentials."""

    name: Name
    account: Annotated[str, Field(pattern=r"^\d{12}$")] | None = None
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] | None = None
    alarm_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Who hears of alarms; AWS asks them to confirm once."""
    destinations: list[Name] = []
    """Names of the CRM destinations: each gets a queue, and so an outage, of its own."""
    public_url: str | None = None
    """Where the API is reached by trackers, ESPs and readers of mirror pages; `{api_id}` stands for the HTTP API's id.
    Without it, the address that AWS gives."""
    allowed_origins: list[str] = []
    """Origins (`http://10.0.0.5:8080`) that definitions may call besides public https addresses."""
    stand_ins: dict[str, str] = {}
    """Origins that are asked instead of hosts which a vendor has fixed, as Adobe that of its public keys
    (`{"https://static.adobeioevents.com": "https://mirror.example.com"}`): a mirror, or in tests the vendor's sandbox."""
    jwt: Jwt | None = None
    requests_per_second: Annotated[int, Field(ge=1, le=10_000)] = 500
    burst: Annotated[int, Field(ge=1, le=5_000)] = 1000
    log_retention_days: LogDays = 30
    message_retention_days: Days = 400
    visit_retention_days: Days = 30
    profile_retention_days: Days = 730
    """After the last that was learnt of a person. Opt-outs are kept for good."""
    mirror_retention_days: Days = 90
    event_retention_days: Annotated[int, Field(ge=0, le=400)] = 14
    """How long what trackers told is kept as it was told, so that triggers can be tried on it; 0 for not at all."""
    definitions_ttl_seconds: Annotated[int, Field(ge=0, le=30)] = 30
    """How long a function may go on with definitions it has in memory."""
    function_timeout_seconds: Annotated[int, Field(ge=5, le=900)] = 30
    visibility_seconds: Seconds = 180
    """How long a message stays hidden from others while a function has it: AWS advises six times the timeout."""
    max_receive_count: Annotated[int, Field(ge=1, le=1000)] = 200
    """Receives after which SQS parks a message by itself. While a vendor is down, what waits is received about every five
    minutes, so that 200 last for some 16 hours of outage; what kills its function each time is parked within as much."""
    messages_window_seconds: Annotated[int, Field(ge=0, le=5)] = 0
    """How long messages may be gathered before they are sent: with 1, up to a hundred go together instead of ten, in less time
    and fewer calls each; a message of a quiet hour goes out a second later."""
    oldest_message_alarm_seconds: Seconds = 900
    token_alarm_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    retain: bool = True
    """Tables stay, and cannot be deleted by mistake, when the stack is removed."""

    @property
    def prefix(self) -> str:
        """Begins every name of this deployment."""
        return f"sendbridge-{self.name}"


def read(environments: object, name: object, overrides: str | None = None) -> Environment:
    """The settings of one environment. `overrides` is a JSON object that goes over them. Raises SettingsError."""
    if not isinstance(environments, Mapping) or name not in environments:
        known = ", ".join(environments) if isinstance(environments, Mapping) else "none"
        raise SettingsError(
            f"There is no environment {name!r} in cdk.json (there are: {known}); choose one with -c environment=NAME."
        )
    chosen = {**environments[name], **_overrides(overrides), "name": name}
    try:
        return Environment.model_validate(chosen)
    except ValidationError as error:
        raise SettingsError(_sentence(str(name), error)) from error


def _overrides(text: str | None) -> dict[str, JsonValue]:
    try:
        values = json.loads(text or "{}")
    except ValueError as error:
        raise SettingsError(f"-c overrides must be a JSON object: {error}.") from error
    if not isinstance(values, dict):
        raise SettingsError("-c overrides must be a JSON object.")
    return values


def _sentence(name: str, error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"cdk.json: environments.{name}.{where}: {problem['msg']}."
