"""Read a description's HTML of any quality token by token, and turn plain text into HTML.

ammonia (nh3) parses it as browsers do and keeps the tags that a page can have. Its parser looks through all
open elements at each tag (https://html.spec.whatwg.org/multipage/parsing.html#has-an-element-in-scope), so
depth and number are limited first.
"""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby, islice

import nh3

STYLES = {
    **dict.fromkeys(("b", "strong"), "strong"),
    **dict.fromkeys(("i", "em"), "em"),
    **dict.fromkeys(("del", "s", "strike"), "del"),
}
INLINE = frozenset({*STYLES, "sub", "sup", "a", "br"})
_STYLED = frozenset({*STYLES, "span", "font", "small", "u"})
_BLOCKS = frozenset(
    {
        *("p", "div", "section", "article", "header", "footer", "main", "aside", "nav", "address", "center"),
        *("figure", "figcaption", "details", "summary", "fieldset", "hgroup", "form", "blockquote", "pre"),
        "hr",
        *("ul", "ol", "li", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption"),
    }
)
_SPANS = {"colspan", "rowspan"}
_UNREAD = frozenset(
    {
        *("script", "style", "iframe", "object", "svg", "math"),
        *("video", "audio", "canvas", "template", "noscript", "title"),
    }
)
# Links that no page may hold are read too, so that they can be reported.
_SCHEMES = {
    *("https", "http", "mailto", "tel"),
    *("javascript", "data", "vbscript", "ftp", "file", "sms", "whatsapp", "skype", "callto", "blob"),
}
_NEVER_CLOSED = frozenset({"br", "hr"})
# Open elements, one in another. Page builders get to about thirty.
DEPTH_MAX = 100
# As many tags as a description has characters at most.
TAGS_MAX = 20_000
_TAG_START = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
# Elements that end by themselves: they are no deeper than what they stand in.
_NEVER_DEEP = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"),
        *("source", "track", "wbr"),
        *("p", "li", "dt", "dd", "option", "optgroup", "rp", "rt", "colgroup"),
        *("thead", "tbody", "tfoot", "tr", "td", "th"),
    }
)
TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:[^>"]|"[^"]*")*)>|([^<]+)')
_INLINE_TAG = re.compile(r"</?(?:strong|b|em|i|del|s|strike|sub|sup|a)(?:\s[^>]*)?>")
ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')
_NOT_SHOWN = re.compile(r"\bdisplay\s*:\s*none|\bvisibility\s*:\s*hidden")
# By element: the styles that say it, and those that say it does not count. Google Docs wraps a whole text in
# <b style="font-weight:normal">.
_BY_STYLE = {
    "strong": (
        re.compile(r"font-weight\s*:\s*(?:bold|[6-9]00)"),
        re.compile(r"font-weight\s*:\s*(?:normal|lighter|[1-5]00)"),
    ),
    "em": (re.compile(r"font-style\s*:\s*(?:italic|oblique)"), re.compile(r"font-style\s*:\s*normal")),
    "del": (re.compile(r"text-decoration[^;]{0,60}line-through"), re.compile(r"text-decoration\s*:\s*none")),
}
_MAY_MATTER = re.compile("hidden|display|font-(?:weight|style)|line-through")
# Elements that stand apart on a page, though no space is between them.
_CONTROL_TAG = re.compile(
    r"</?(?:button|label|legend|optgroup|option|select|textarea)\b[^<>]*>", re.IGNORECASE
)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
# The module `description` gives these a meaning: those of the export are left out.
# Signs that a raised "-" and "/" become in Unicode's compatibility form.
_PLAIN_SIGNS = {0x2212: "-", 0x2044: "/"}
_PRIVATE_USE = re.compile("[\U0010f000-\U0010f0ff]")


def sanitised(body_html: str) -> str:
    """Return the HTML that counts as the description's words: no scripts, styles or embedded documents."""
    text = bounded(body_html)[0].replace("\r\n", "\n").replace("\r", "\n")
    return _cleaner().clean(without_styles(_PRIVATE_USE.sub("", _CONTROLS.sub(" ", text)))[0])


@cache
def _cleaner(more_tags: frozenset[str] = frozenset(), more: frozenset[str] = frozenset()) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(INLINE | _BLOCKS | more_tags),
        clean_content_tags=set(_UNREAD),
        attributes={"a": {"href"}, "ol": {"start"}, "td": _SPANS, "th": _SPANS, "*": set(more)},
        url_schemes=_SCHEMES,
        link_rel=None,
    )


def without_styles(body_html: str) -> tuple[str, list[str]]:
    """Return the HTML with elements for the emphasis that its styles say, and without what they hide.

    Returns:
        The HTML, and the words of each element that is hidden.
    """
    body_html = _CONTROL_TAG.sub(" ", body_html)
    if not _MAY_MATTER.search(body_html.lower()):
        return body_html, []
    kept: list[str] = []
    hidden: list[str] = []
    ends: list[str] = []
    name, depth = "", 0
    for token in TOKEN.finditer(_cleaner(_STYLED, frozenset({"hidden", "style"})).clean(body_html)):
        closing, tag, attributes, words = token.groups()
        if depth:
            hidden[-1] += html.unescape(words or " ")
            depth += (-1 if closing else 1) if tag == name else 0
            continue
        stated = dict(ATTRIBUTE.findall(attributes or ""))
        style = stated.get("style", "").lower()
        if "hidden" in stated or _NOT_SHOWN.search(style):
            name, depth = tag, int(tag not in _NEVER_CLOSED)
            hidden.append("")
        elif tag not in _STYLED:
            kept.append(token[0])
        elif closing:
            kept.append(ends.pop())
        else:
            emphasis = _emphasis(tag, style)
            kept += [f"<{element}>" for element in emphasis]
            ends.append("".join(f"</{element}>" for element in reversed(emphasis)))
    return "".join(kept), [" ".join(words.split()) for words in hidden if words.strip()]


def _emphasis(tag: str, style: str) -> list[str]:
    """Return the elements that say what an inline element of this style looks like."""
    plain = STYLES.get(tag)
    return [
        name
        for name, (yes, no) in _BY_STYLE.items()
        if yes.search(style) or (plain == name and not no.search(style))
    ]


def bounded(body_html: str) -> tuple[str, dict[tuple[str, str], int]]:
    """Return the HTML with no more than `TAGS_MAX` tags and a depth of no more than `DEPTH_MAX`.

    Line breaks stand for the tags of blocks that are deeper: no word grows together with the next one.

    Returns:
        The HTML, and how often (what, outcome) was lost.
    """
    if body_html.count("<") <= DEPTH_MAX:
        return body_html, {}
    lost: dict[tuple[str, str], int] = {}
    if end := next(islice(_TAG_START.finditer(body_html), TAGS_MAX, None), None):
        lost[f"what follows {TAGS_MAX:,} tags in the description", "left out"] = 1
        body_html = body_html[: end.start()]
    depth, flat = 0, 0
    opened: Counter[str] = Counter()
    dropped: Counter[str] = Counter()

    def tag(found: re.Match[str]) -> str:
        nonlocal depth, flat
        closing, name = found[1], found[2].lower()
        if name in _NEVER_DEEP:
            return found[0]
        if closing:
            if dropped[name]:
                dropped[name] -= 1
                return _FLAT_BLOCK if name in _BLOCKS else _FLAT_INLINE
            if opened[name]:
                opened[name] -= 1
                depth -= 1
            return found[0]
        if depth >= DEPTH_MAX:
            flat += 1
            dropped[name] += 1
            return _FLAT_BLOCK if name in _BLOCKS else _FLAT_INLINE
        depth += 1
        opened[name] += 1
        return found[0]

    body_html = _TAG_START.sub(tag, body_html)
    if flat:
        lost[f"elements inside {DEPTH_MAX} others", "their words are kept without them"] = flat
    return body_html, lost


# Elements without content: the attributes of the tag they stand for may follow.
_FLAT_BLOCK, _FLAT_INLINE = "<br", "<wbr"


def visible_words(markup: str) -> list[str]:
    """Return the visible words of markup, in order, in their compatibility form (NFKC)."""
    text = re.sub(r'<(?:[^>"]|"[^"]*")*>', " ", _INLINE_TAG.sub("", markup))
    return unicodedata.normalize("NFKC", html.unescape(text)).translate(_PLAIN_SIGNS).split()


_NAMES = (
    "p|br|div|span|ul|ol|li|dl|dt|dd|b|strong|em|i|u|s|del|a|h[1-6]|table|tbody|thead|tr|td|th|img|hr|pre|code"
    "|blockquote|font|center|iframe|video|section|article|figure|sub|sup|small|big|script|style|strike|meta"
    "|mark|ins|abbr|cite|q|kbd|samp|var|tt|label|button|select|option|input|form|textarea|address|details|summary"
    "|header|footer|main|nav|aside|figcaption|caption|tfoot|col|colgroup|fieldset|legend|picture|source|svg|audio"
    "|object|embed|time|wbr|dfn|bdi|bdo|ruby|rt|rp|acronym|link|noscript"
)
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ELEMENT = re.compile(rf"<(/?)({_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_HAS_PARAGRAPHS = re.compile(r"<(?:p|br|div|table)\b", re.IGNORECASE)
_PREFORMATTED = re.compile(r"(<pre\b.*?</pre>)", re.IGNORECASE | re.DOTALL)
_BULLET = re.compile(
    r"\s*(?:[-*\u2022\u00b7\u25cf\u25aa\u25e6\u2023\u2713\u2714+]|[\u2013\u2014](?=\s))\s+(\S.*)"
)
_SIGNED = re.compile(r"\s*([\u2022\u25cf\u25aa\u25e6\u2023\u2713\u2714])\s*(\S.*)")
_NUMBERED = re.compile(r"\s*([0-9]{1,3})[.)]\s+(\S.*)")


def html_of(text: str, *, newlines_count: bool) -> str:
    """Return the HTML of a description that is HTML already, or plain text.

    `newlines_count` says whether line ends in HTML without paragraphs are line ends, as WordPress has it.
    """
    text = _CDATA.sub(r"\1", text).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n")
    if not _TAG.search(text):
        text = unescaped(text)
        # HTML that was encoded twice has whole elements then; a lone "<b>" is a text about a tag.
        if not _has_elements(text):
            return plain_html(text)
    if newlines_count and not _HAS_PARAGRAPHS.search(text):
        parts = _PREFORMATTED.split(text)
        return "".join(
            part if number % 2 else part.replace("\n", "<br>") for number, part in enumerate(parts)
        )
    return text


def _has_elements(text: str) -> bool:
    """Return whether a text has an element with its end, or a line break."""
    tags = {(found[1], found[2].lower()) for found in _ELEMENT.finditer(text)}
    return any(("", name) in tags for ending, name in tags if ending) or ("", "br") in tags


def plain_html(text: str) -> str:
    """Return the HTML of plain text: blank lines end paragraphs, lines with a bullet are a list."""
    return "".join(_paragraph(lines) for lines in _paragraphs(text.split("\n")))


def line_of(text: str) -> str:
    """Return a title without tags, its entities decoded once."""
    return " ".join(unescaped(_TAG.sub(lambda tag: " " if _breaks(tag[0]) else "", text)).split())


def unescaped(text: str) -> str:
    """Return a text with its complete entities decoded once: "&copy" without a semicolon stays."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _breaks(tag: str) -> bool:
    return bool(re.match(r"</?(?:p|br|div|li|ul|ol|td|tr|h[1-6]|hr)\b", tag, re.IGNORECASE))


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        if not blank:
            yield list(group)


def _paragraph(lines: list[str]) -> str:
    parts = []
    for kind, group in groupby(_kinds(lines), key=lambda kind: kind[0]):
        texts = [html.escape(text, quote=False) for _, text in group]
        if kind:
            parts.append(f"<{kind}>{''.join(f'<li>{text}</li>' for text in texts)}</{kind}>")
        else:
            parts.append(f"<p>{'<br>'.join(texts)}</p>")
    return "".join(parts)


def _kinds(lines: list[str]) -> list[tuple[str, str]]:
    """Return ("ul", "ol" or "", text) of each line."""
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    kinds: list[tuple[str, str]] = []
    for index, line in enumerate(lines):
        bullet = _BULLET.fullmatch(line) or _SIGNED.fullmatch(line)
        number = numbered[index]
        if bullet:
            kinds.append(("ul", bullet[bullet.re.groups]))
        elif number and _is_step(numbered, index):
            kinds.append(("ol", number[2]))
        else:
            kinds.append(("", line.strip()))
    return kinds


def _is_step(numbered: list[re.Match[str] | None], index: int) -> bool:
    """Return whether a number at a line's start counts: it belongs to 1, 2, 3 on lines in a row."""
    start = index
    while start and numbered[start - 1]:
        start -= 1
    end = index
    while end + 1 < len(numbered) and numbered[end + 1]:
        end += 1
    numbers = [int(found[1]) for found in numbered[start : end + 1] if found]
    return len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1))
