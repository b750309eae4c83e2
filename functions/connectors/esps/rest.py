"""Any ESP with a JSON REST API: nothing but an integration's own settings."""

from __future__ import annotations

from connectors.esps.base import Esp


class Rest(Esp):
    """The connector `rest`."""


CONNECTOR = Rest()
