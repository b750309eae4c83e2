"""On a schedule: renews access tokens ahead of their end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from refresh_tokens.renewal import renew_all
from refresh_tokens.settings import Settings
from shared import aws
from shared.auth import OAuth2
from shared.catalogue import Definitions
from shared.clock import utc_now
from shared.definitions import Destination, Integration
from shared.http import Http
from shared.observe import count, logger, observed
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Tokens


class _App:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        dynamodb, secrets = aws.client("dynamodb"), Secrets(aws.client("secretsmanager"), settings.secret_prefix)
        leases = Leases(dynamodb, settings.state_table, utc_now)
        self.tokens = Tokens(secrets, leases, Http(settings.allowed_origins).send, utc_now)
        definitions = Definitions(settings.definitions_table, dynamodb, utc_now, settings.definitions_ttl, secrets)
        self._integrations = definitions.catalogue(Integration)
        self._destinations = definitions.catalogue(Destination)

    def logins(self) -> Iterator[tuple[str, OAuth2]]:
        """Everything that has an OAuth 2.0 login, under the name of its token."""
        for name, integration in self._integrations.all().items():
            if isinstance(integration.definition.auth, OAuth2):
                yield f"integration/{name}", integration.definition.auth
        for name, destination in self._destinations.all().items():
            yield f"destination/{name}", destination.definition.auth

    def report(self, name: str, seconds_left: float, problem: str) -> None:
        """A metric of what is left, and a warning if the token could not be renewed.

        One metric for all tokens: its minimum is what the alarm watches, and the warning says which token it is.
        """
        count("TokenSecondsLeft", self._settings.environment, seconds_left)
        if problem:
            logger.warning("token not renewed", token=name, reason=problem, seconds_left=seconds_left)


@cache
def _app() -> _App:
    return _App(Settings.from_environment())


@observed
def handle(event: dict[str, object], context: object) -> None:
    """Entry point; the schedule's event says nothing."""
    app = _app()
    renew_all(app.logins(), app.tokens, utc_now(), app.report)
