"""HTML that has Liquid in it, made readable for tools that know only HTML, and put back afterwards.

Each piece of Liquid becomes a token of letters that may stand anywhere in HTML and CSS. The source itself is never parsed and
written anew, as that would close, move and rename what Liquid holds apart: what changes are single places of it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

_LIQUID = re.compile(r"\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_RAW = re.compile(r"\{%-?\s*raw\b")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*)((?:[^"'>]|"[^"]*"|'[^']*')*)>""")
_OPENS = re.compile(r"</?[a-zA-Z]")
_RAW_TEXT = frozenset({"style", "script", "title", "textarea"})
_PRIVATE_USE = range(0xE000, 0xF8FF)


@dataclass(frozen=True)
class Edit:
    """A place of a text, and what is to be there."""

    begins: int
    ends: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with these edits, none of which overlap."""
    parts, done = [], 0
    for edit in sorted(edits, key=lambda one: (one.begins, one.ends)):
        parts += [text[done : edit.begins], edit.text]
        done = edit.ends
    return "".join([*parts, text[done:]])


class Protected:
    """A source whose Liquid is hidden in tokens. Only for sources that Liquid has parsed: others may take for ever."""

    def __init__(self, source: str) -> None:
        self.mark = next(chr(code) for code in _PRIVATE_USE if chr(code) not in source)
        self.pieces: list[str] = []
        self.token = re.compile(f"{self.mark}([0-9]+){self.mark}")
        self.text = _LIQUID.sub(self._hidden, source)

    def _hidden(self, found: re.Match[str]) -> str:
        return self.hide(found[0])

    def hide(self, liquid: str) -> str:
        """The token of a piece of Liquid."""
        self.pieces.append(liquid)
        return f"{self.mark}{len(self.pieces) - 1}{self.mark}"

    def piece(self, token: str) -> str:
        """What a token stands for."""
        return self.pieces[int(token.strip(self.mark))]

    def is_tag(self, token: str) -> bool:
        """Whether a token stands for a tag, which writes nothing by itself but says what of the rest is written."""
        return self.piece(token).startswith("{%") and not _RAW.match(self.piece(token))

    def restored(self, text: str, *, trimming: bool = True) -> str:
        """The text with its Liquid; without `trimming`, spaces around it are not Liquid's to take away."""
        return self.token.sub(
            lambda found: self.pieces[int(found[1])] if trimming else _untrimmed(self.pieces[int(found[1])]), text
        )


def _untrimmed(liquid: str) -> str:
    return liquid if _RAW.match(liquid) else re.sub(r"^(\{[{%])-|-([%}]\})$", r"\1\2", liquid)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a start tag, and where its value is in the source, quotes included."""

    name: str
    value: str
    begins: int
    ends: int
    quoted: str
    """The value as it is written."""


@dataclass(frozen=True)
class StartTag:
    """A start tag, and where it is in the source."""

    name: str
    attributes: tuple[Attribute, ...]
    begins: int
    ends: int

    def get(self, name: str) -> Attribute | None:
        """Its attribute of this name; None if it has none."""
        return next((one for one in self.attributes if one.name == name), None)

    def value(self, name: str) -> str:
        """The value of this attribute; empty if it has none."""
        found = self.get(name)
        return found.value if found is not None else ""


@dataclass(frozen=True)
class EndTag:
    """An end tag."""

    name: str


@dataclass(frozen=True)
class Data:
    """What is between tags, as it is written. `raw` is the element of whose contents nothing is a tag."""

    text: str
    raw: str = ""


def tokens_of(text: str) -> Iterator[StartTag | EndTag | Data]:
    """The tags of a protected text and what is between them, without comments. What is never closed ends it.

    Takes time in proportion to the text, which the parser of the standard library does not where something is never closed.
    """
    place = 0
    while (begins := text.find("<", place)) >= 0:
        if begins > place:
            yield Data(text[place:begins])
        if text[begins + 1 : begins + 2] in ("!", "?"):
            ends = "-->" if text.startswith("<!--", begins) else ">"
            place = text.find(ends, begins) + len(ends)
            if place < len(ends):
                return
        elif (found := _TAG.match(text, begins)) is not None:
            place = found.end()
            if found[1]:
                yield EndTag(found[2].lower())
            else:
                yield _start_tag(found)
                place = yield from _raw(text, found[2].lower(), place)
        elif _OPENS.match(text, begins):
            return  # a tag without an end: nothing after it is sure
        else:
            yield Data("<")
            place = begins + 1
    yield Data(text[place:])


def _raw(text: str, name: str, place: int) -> Generator[Data, None, int]:
    if name not in _RAW_TEXT:
        return place
    end = re.compile(f"</{name}", re.IGNORECASE).search(text, place)
    ends = end.start() if end is not None else len(text)
    yield Data(text[place:ends], name)
    return ends


def _start_tag(found: re.Match[str]) -> StartTag:
    offset = found.end(2)
    inner = (_attribute(one, offset) for one in _ATTRIBUTE.finditer(found[3]))
    return StartTag(found[2].lower(), tuple(inner), found.start(), found.end())


def _attribute(found: re.Match[str], offset: int) -> Attribute:
    quoted = found[2] or ""
    value = quoted[1:-1] if quoted[:1] in ("'", '"') else quoted
    return Attribute(found[1].lower(), html.unescape(value), offset + found.start(2), offset + found.end(2), quoted)
