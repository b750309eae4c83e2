"""The text part of an email, made of the template of its HTML: a template again, so that it costs a message next to nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from shared.liquid_html import Data, EndTag, Protected, StartTag

_LINES = {
    "p": 2,
    "table": 2,
    "ul": 2,
    "ol": 2,
    "blockquote": 2,
    "pre": 2,
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), 2),
}
_LINES |= dict.fromkeys(("div", "tr", "li", "section", "header", "footer", "article", "center", "dt", "dd", "body", "form"), 1)
"""Line ends before and after an element."""

_UNSEEN = frozenset({"head", "style", "script", "title", "template", "select", "textarea"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_NAME = re.compile(r"\{%-?\s*(\w+)")
_EMPTY_LINES = re.compile(r"[ \t]+(?=\n)|(?<=\n\n)\n+")


def text_of(tokens: Iterable[StartTag | EndTag | Data], hidden: Protected) -> str:
    """The text template of a protected HTML template, still protected. Links are `text (link)`."""
    walk = _Walk(hidden)
    for token in tokens:
        if isinstance(token, StartTag):
            walk.opens(token)
        elif isinstance(token, EndTag):
            walk.closes(token.name)
        else:
            walk.says(token.text)
    return "".join(walk.parts).strip()


def tidied(text: str) -> str:
    """A rendered text without spaces at line ends, and without more than one empty line in a row."""
    return _EMPTY_LINES.sub("", text).strip()


class _Walk:
    """Writes words and line ends as elements ask for them. Tags of Liquid are written wherever they are, seen or not."""

    def __init__(self, hidden: Protected) -> None:
        self.parts: list[str] = []
        self._hidden = hidden
        self._piece = re.compile(f"({hidden.mark}[0-9]+{hidden.mark})")
        self._lines = 0
        """Line ends that are due."""
        self._written = 2
        """Line ends at the end of what is written."""
        self._space = False
        self._unseen: list[str] = []
        """The element that is not shown, and those of its name within it."""
        self._open: list[int] = []
        """Of each loop or condition around this, how many elements were begun in it and are not closed."""
        self._links: list[tuple[str, int]] = []
        """Each open link, and how many parts were written before it."""

    def opens(self, tag: StartTag) -> None:
        """A start tag."""
        if self._unseen:
            if tag.name == self._unseen[0]:
                self._unseen.append(tag.name)
        elif tag.name not in _VOID and (tag.name in _UNSEEN or tag.get("hidden") or _HIDDEN.search(tag.value("style"))):
            self._unseen.append(tag.name)
        else:
            self._opened(tag.name, tag)

    def _opened(self, tag: str, own: StartTag) -> None:
        self._lines = max(self._lines, _LINES.get(tag, 0))
        if tag in _LINES and self._open:
            self._open[-1] += 1
        if tag == "br":
            self._break()
        elif tag == "hr":
            self._lines = max(self._lines, 1)
            self._words("---")
            self._lines = 1
        elif tag == "li":
            self._words("- ")
        elif tag in ("td", "th"):
            self._space = True
        elif tag == "img":
            self._words(own.value("alt"))
        elif tag == "a":
            self._links.append((own.value("href"), len(self.parts)))

    def closes(self, tag: str) -> None:
        """An end tag."""
        if self._unseen:
            if tag == self._unseen[0]:
                self._unseen.pop()
            return
        if tag == "a" and self._links:
            link, begins = self._links.pop()
            shown = "".join(self.parts[begins:]).strip()
            if link and not link.startswith("#") and link.removeprefix("mailto:") != shown:
                self._words(f" ({link})" if shown else link)
        if tag in _LINES and self._open and self._open[-1]:
            self._open[-1] -= 1
        self._lines = max(self._lines, _LINES.get(tag, 0))

    def says(self, data: str) -> None:
        """What is between tags."""
        for index, part in enumerate(self._piece.split(html.unescape(data))):
            if index % 2 and self._hidden.is_tag(part):
                self._nested(self._hidden.piece(part))
                self._flush()
                self.parts.append(part)
            elif part and not self._unseen:
                self._words(part)

    def _nested(self, liquid: str) -> None:
        """What begins a line in a loop or condition, and is not closed in it, as `<li>` need not be, ends with it."""
        name = _NAME.match(liquid)
        if name is None:
            return
        if name[1] in ("for", "if", "unless", "case"):
            self._open.append(0)
        elif name[1] in ("endfor", "endif", "endunless", "endcase") and self._open and self._open.pop():
            self._lines = max(self._lines, 1)

    def _words(self, text: str) -> None:
        words = text.split()
        self._space = self._space or text[:1].isspace()
        if not words:
            return
        self._flush()
        self.parts.append(" ".join(words))
        self._written = 0
        self._space = text[-1:].isspace()

    def _break(self) -> None:
        self._flush()
        self.parts.append("\n")
        self._written += 1
        self._space = False

    def _flush(self) -> None:
        """Writes what is due before the next word, or before a tag that may repeat what follows."""
        due = self._lines - self._written
        if due > 0:
            self.parts.append("\n" * due)
            self._written += due
        elif self._space and not self._written:
            self.parts.append(" ")
        self._lines, self._space = 0, False
