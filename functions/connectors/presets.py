"""The vendors whose integrations are ready made."""

from __future__ import annotations

from connectors.esps.base import Preset
from connectors.registry import ESPS


def presets() -> dict[str, Preset]:
    """Each vendor's preset, by the name of its connector."""
    found = {name: ESPS.load(name).preset for name in sorted(ESPS.rows)}
    return {name: preset for name, preset in found.items() if preset is not None}
