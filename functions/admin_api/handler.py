"""`/v1/admin/…`: definitions, traces, parked items and the doctor. API Gateway has let the caller in."""

from __future__ import annotations

from functools import cache

from admin_api.app import Admin
from admin_api.settings import Settings
from shared.clock import utc_now
from shared.observe import observed


@cache
def _admin() -> Admin:
    return Admin(Settings.from_environment(), utc_now)


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point: one request, one answer."""
    return _admin().answer(event)
