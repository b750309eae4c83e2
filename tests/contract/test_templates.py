"""What the presets' bodies, headers and URLs use can be rendered, and comes from somewhere."""

from __future__ import annotations

import pytest

from connectors.registry import ESPS
from shared.content_faults import content_faults
from shared.variables import variables_of
from tests.contract.sample import filled

PRESETS = [name for name in ESPS.rows if ESPS.load(name).preset is not None]


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_templates_have_no_faults(name: str) -> None:
    assert [*content_faults(filled(name))] == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_uses_only_what_every_message_has(name: str) -> None:
    used = variables_of(filled(name))
    assert {one.name: one.origin for one in used if one.origin in ("unknown", "default")} == {}
    assert {"to", "identifier"} & {one.name for one in used}
    assert "message.text" in {one.name for one in used}
