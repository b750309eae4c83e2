"""The HTML of an email as mail programs need it: CSS in style attributes, links absolute, and a text part beside it.

All of it is done to the template, once per version, not to each message. So the styles of rules that depend on what is rendered
are not copied into attributes: those for a class or an id that Liquid writes, those by position (`:first-child`, `a + b`), and
those in a style element that has tags of Liquid in it. They work where style elements do, as media queries: all style elements
stay as they are. What a rule says stands before what the element's own style attribute says, and `!important` stays, so both
mean what they meant.
"""

from __future__ import annotations

import functools
import html
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

from shared.errors import Permanent
from shared.liquid_html import Attribute, Data, Edit, Protected, StartTag, edited, tokens_of
from shared.plain_text import text_of
from shared.template_nodes import is_relative
from shared.templates import Source, is_template

MOST_STYLED = 40_000_000
"""Start tags times characters of CSS: what bounds the time and the size of copying rules."""

_LINKS = {
    "a": "href",
    "area": "href",
    "img": "src",
    "body": "background",
    "table": "background",
    "td": "background",
    "th": "background",
}
_OURS = re.compile(r"\{\{-?\s*(mirror_url|unsubscribe_url)\s*-?\}\}")
_BY_POSITION = re.compile(
    r"[+~]|:(first|last|nth|only|empty|not|has|is|where|hover|active|focus|visited|link|before|after|root)|::"
)
_NUMBER = "data-number"


@dataclass(frozen=True)
class Prepared:
    """What a template's HTML becomes, still a template."""

    html: str
    text: str
    """The text part that is made of it."""
    relative: tuple[tuple[int, str], ...]
    """The first ten links that lead nowhere, as there is no base for them: line and link."""


@functools.lru_cache(maxsize=64)
def prepared(name: str, source: str, base_url: str) -> Prepared:
    """The HTML of a template. `name` is for errors.

    Raises Permanent if it is not Liquid, or has too much CSS for so many elements.
    """
    if is_template(source):
        _ = Source(name, source, "html").parsed
    hidden = Protected(source)
    tokens = [*tokens_of(hidden.text)]
    tags = [token for token in tokens if isinstance(token, StartTag)]
    css = "".join(_fixed_rules(hidden, tokens))
    if len(css) * len(tags) > MOST_STYLED:
        raise Permanent(f"{name}: {len(css)} characters of CSS are too much for {len(tags)} elements")
    styled = _styled(hidden, tags, css) if css else ()
    done = edited(hidden.text, [*_absolute(hidden, tags, base_url), *styled])
    text = hidden.restored(text_of(tokens_of(done), hidden), trimming=False)
    return Prepared(hidden.restored(done), text, tuple(itertools.islice(_nowhere(tags, hidden, base_url), 10)))


def _links(tags: list[StartTag]) -> Iterator[tuple[StartTag, Attribute]]:
    for tag in tags:
        link = tag.get(_LINKS.get(tag.name, ""))
        if link is not None and link.value:
            yield tag, link


def _nowhere(tags: list[StartTag], hidden: Protected, base_url: str) -> Iterator[tuple[int, str]]:
    for tag, link in _links(tags):
        if not base_url and is_relative(link.value) and not hidden.token.match(link.value) and not link.value.startswith("//"):
            yield hidden.restored(hidden.text[: tag.begins]).count("\n") + 1, hidden.restored(link.value)


def _absolute(hidden: Protected, tags: list[StartTag], base_url: str) -> Iterator[Edit]:
    base = base_url or "https:"
    for _, link in _links(tags):
        first = hidden.token.match(link.value)
        if first is None and is_relative(link.value) and (base_url or link.value.startswith("//")):
            made = urljoin(base, link.value)
            yield Edit(link.begins, link.ends, f'"{html.escape(made)}"')
        elif first is not None and base_url and (filtered := _filtered(hidden.piece(first[0]), base_url)):
            begins = link.begins + link.quoted.index(first[0])
            yield Edit(begins, begins + len(first[0]), hidden.hide(filtered))


def _filtered(liquid: str, base_url: str) -> str:
    """The output with the filter that makes it absolute; empty if it is none, or needs none."""
    if not liquid.startswith("{{") or _OURS.fullmatch(liquid):
        return ""
    base = base_url.replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
    end = 3 if liquid.endswith("-}}") else 2
    return f'{liquid[:-end].rstrip()} | absolute_url: "{base}" {liquid[-end:]}'


def _styled(hidden: Protected, tags: list[StartTag], css: str) -> Iterator[Edit]:
    styles = _inlined(edited(hidden.text, _numbered(hidden, tags)), css)
    for number, tag in enumerate(tags):
        if style := styles.get(number):
            yield _with_style(tag, " ".join(html.escape(style).split()))


def _with_style(tag: StartTag, style: str) -> Edit:
    own = tag.get("style")
    if own is None or not own.quoted:
        place = tag.begins + 1 + len(tag.name)
        return Edit(place, place, f' style="{style}"')
    quote = own.quoted[0] if own.quoted[0] in "'\"" else ""
    return Edit(own.begins, own.ends, f"{quote or chr(34)}{style} {own.quoted.strip(quote or None)}{quote or chr(34)}")


def _fixed_rules(hidden: Protected, tokens: Sequence[object]) -> Iterator[str]:
    """The rules of all style elements that can be copied."""
    for tag, data in itertools.pairwise(tokens):
        if not isinstance(tag, StartTag) or not isinstance(data, Data) or data.raw != "style":
            continue
        wanted = tag.value("media") in ("", "all", "screen") and not tag.get("data-css-inline")
        if wanted and not any(hidden.is_tag(token[0]) for token in hidden.token.finditer(data.text)):
            for selectors, declarations in _rules(data.text):
                kept = [one for one in selectors.split(",") if not _BY_POSITION.search(one)]
                if kept:
                    yield f"{','.join(kept).strip()}{{{declarations}}}"


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """Selectors and declarations, without what is in rules that begin with an @."""
    first, *rest = css.replace("<!--", "").replace("-->", "").split("/*")
    css = first + "".join(part.partition("*/")[2] for part in rest)
    depth, begins, opened = 0, 0, 0
    for found in re.finditer("[{};]", css):
        if found[0] == "{":
            depth += 1
            opened = found.start() if depth == 1 else opened
        elif found[0] == "}":
            depth = max(depth - 1, 0)
        if depth == 0:
            selectors = css[begins:opened].strip()
            if found[0] == "}" and opened >= begins and selectors and not selectors.startswith("@"):
                yield selectors, css[opened + 1 : found.start()]
            begins = found.end()


def _numbered(hidden: Protected, tags: list[StartTag]) -> Iterator[Edit]:
    """Start tags by their number, without styles of their own, and without what Liquid may or may not write."""
    for number, tag in enumerate(tags):
        attributes = {
            one.name: _certain(hidden, one) for one in tag.attributes if one.name != "style" and hidden.mark not in one.name
        }
        written = "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items())
        yield Edit(tag.begins, tag.ends, f'<{tag.name} {_NUMBER}="{number}"{written}>')


def _certain(hidden: Protected, attribute: Attribute) -> str:
    if attribute.name not in ("class", "id"):
        return attribute.value
    tokens = [found for found in hidden.token.finditer(attribute.value) if hidden.is_tag(found[0])]
    if not tokens:
        return attribute.value
    return attribute.value[: tokens[0].start()] + " " + attribute.value[tokens[-1].end() :]


def _inlined(document: str, css: str) -> dict[int, str]:
    """The styles that the rules give each numbered element."""
    # Imported here: only templates with a style element need it, and it is a library of its own.
    import css_inline  # noqa: PLC0415

    inliner = css_inline.CSSInliner(
        inline_style_tags=False, keep_style_tags=True, keep_link_tags=True, load_remote_stylesheets=False, extra_css=css
    )
    tags = (token for token in tokens_of(inliner.inline(document)) if isinstance(token, StartTag))
    return {int(tag.value(_NUMBER)): tag.value("style") for tag in tags if tag.value(_NUMBER) and tag.value("style")}
