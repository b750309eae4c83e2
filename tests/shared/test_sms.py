from __future__ import annotations

import pytest

from shared.sms import segments_of


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà" + "a" * 113, 1),
        ("€" * 80, 1),  # two places each
        ("€" * 81, 2),
        ("€" * 152, 2),  # 76 in a segment: the 153rd place stays empty, as none is cut in two
        ("€" * 153, 3),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ç" + "a" * 69, 1),  # not in GSM-7, though Ç is
        ("ç" + "a" * 70, 2),
        ("ç" + "a" * 133, 2),
        ("ç" + "a" * 134, 3),
        ("🐧" * 35, 1),
        ("🐧" * 36, 2),
        ("🐧" * 66, 2),  # 33 in a segment
        ("🐧" * 67, 3),
        ("`", 1),
        ("`" * 71, 2),
    ],
)
def test_segments(text: str, segments: int) -> None:
    assert segments_of(text) == segments
