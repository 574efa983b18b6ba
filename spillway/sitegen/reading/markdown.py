"""Read a merchant's Markdown: front matter, markup that a page may hold, and pages of text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spillway.sitegen.reading.catalogue import ContentPage
from spillway.sitegen.reading.toml_input import InputError, TomlTable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_TAGS = {
    *("p", "br", "hr", "ul", "ol", "li", "strong", "em", "s", "a", "blockquote", "code", "pre"),
    *("h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
# Any sign that may mean something to Markdown or to HTML.
_STRANGE = re.compile("[^\\w\n ,.;:'\"()?!%/\u2013\u2014\u2018\u2019\u201c\u201d\u2026£€-]")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_PLAIN_LINK = re.compile(r"\]\(((?:https?://|mailto:|tel:|/|#)[A-Za-z0-9_.~/?#@!$'*+,;:=%-]*)\)")
# What is the same in every language.
_FILES_AND_API = ("/api/", "/assets/", "/pictures/")
_SCHEMES = {"https", "http", "mailto", "tel"}
_LINK_EXPECTED = "a link to https://, mailto:, tel: or a path of this shop"


def to_html(
    text: str, *, heading_level_min: int, refuse: Callable[[int, str, str], None], root: str = ""
) -> str:
    """The sanitised markup of `text`, its headings no higher than `heading_level_min`.

    Links to pages of the shop lead to those under `root`: a translator need not touch them. What cannot be
    taken is told to `refuse` as (line within the text, value, expected).
    """
    if _is_plain(text):
        # Most descriptions are plain paragraphs, which need no parser: this is what it would say.
        paragraphs = (each.strip("\n") for each in text.split("\n\n"))
        return "".join([f"<p>{each}</p>\n" for each in paragraphs if each])
    return _parsed_to_html(text, heading_level_min, refuse, root)


def is_beyond_refusal(text: str) -> bool:
    """Return whether `to_html` refuses nothing of `text`, as can be seen without parsing it.

    True means that each link is inline and leads where a page may link to, and that there are no pictures.
    False means that only `to_html` knows.
    """
    if "[" not in text and "<" not in text:
        return True
    bare = _ESCAPED.sub("", text)
    if "<" in bare or "![" in bare or "]:" in bare:
        return False
    links = _PLAIN_LINK.findall(bare)
    return len(links) == bare.count("](") and all(map(safe_link, links))


def _is_plain(text: str) -> bool:
    """Whether these are lines that begin with a letter and hold no sign that means anything."""
    lines = [line for line in text.split("\n") if line]
    plain = all(line[0].isalpha() and line[-1] != " " for line in lines)
    return bool(lines) and plain and "_" not in text and not _STRANGE.search(text)


def _parsed_to_html(
    text: str, heading_level_min: int, refuse: Callable[[int, str, str], None], root: str = ""
) -> str:
    import nh3

    markdown = _markdown()
    tokens = markdown.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{max(int(token.tag[1]), heading_level_min)}"
    for line, token in _inline(tokens):
        if token.type == "image":
            refuse(line, str(token.attrs.get("src")), "text only: pictures have their own field")
        elif token.type == "link_open" and not safe_link(str(token.attrs.get("href"))):
            refuse(line, str(token.attrs.get("href")), _LINK_EXPECTED)
        elif token.type == "link_open":
            token.attrSet("href", _under(root, str(token.attrs.get("href"))))
    return nh3.clean(
        markdown.renderer.render(_without_empty_headers(tokens), markdown.options, {}),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes=_SCHEMES,
        link_rel=None,
    )


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("js-default")
    # Every link is let through here and judged by its token, so that a bad one is a mistake with a line
    # and not a text that quietly lost its link.
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]
    return markdown


def _inline(tokens: "list[Token]") -> "Iterator[tuple[int, Token]]":
    for token in tokens:
        for child in token.children or ():
            yield (token.map[0] + 1 if token.map else 1), child


def _without_empty_headers(tokens: "list[Token]") -> "list[Token]":
    """Return the tokens without empty table headers: Markdown has no table without a header."""
    kept: list[Token] = []
    for token in tokens:
        kept.append(token)
        if token.type == "thead_close":
            start = next(at for at in range(len(kept) - 1, -1, -1) if kept[at].type == "thead_open")
            if not any(each.type == "inline" and each.content for each in kept[start:]):
                del kept[start:]
    return kept


def _under(root: str, url: str) -> str:
    if not url.startswith("/") or url.startswith(_FILES_AND_API) or f"{url}/".startswith(f"{root}/"):
        return url
    return root if url == "/" else f"{root}{url}"


def safe_link(url: str) -> bool:
    """Return whether a page may link to `url`: an address of the web, email or telephone, or a path."""
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    if address.scheme:
        return address.scheme in _SCHEMES
    return not address.netloc and url.startswith(("/", "#")) and not url.startswith("//") and "\\" not in url


_FRONT_MATTER = re.compile(r"\A\+\+\+[ \t]*\n(.*?\n)\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The TOML at the top, the Markdown below, and how many lines are above that."""

    front: str
    body: str
    lines_before: int

    @classmethod
    def of(cls, text: str, *, file: str, mistakes: list[InputError]) -> "FrontMatter | None":
        """The two parts; None (and a mistake noted) where they are not set apart."""
        text = text.replace("\r\n", "\n")
        front = _FRONT_MATTER.match(text)
        if not front:
            first_line = text.partition("\n")[0]
            mistakes.append(InputError(file, 1, "front matter", first_line, "TOML between two lines of +++"))
            return None
        return cls(front[1], text[front.end() :], text[: front.end()].count("\n"))

    def table(self, *, file: str, mistakes: list[InputError], **also: str) -> TomlTable | None:
        """The table of the top, with fields that are said below it; None when it is no TOML."""
        return TomlTable.parse(self.front, file=file, mistakes=mistakes, first_line=2, also=also)


_TITLE_LENGTH_MAX = 120
_DESCRIPTION_LENGTH_MAX = 300


def read_page(
    text: str | None,
    *,
    slug: str,
    locale: str,
    language: str,
    root: str,
    file: str,
    mistakes: list[InputError],
) -> ContentPage | None:
    """The page that `locale`, whose pages lie under `root`, makes of a file's text in `language`; None when
    there is no reading it. Mistakes are added to `mistakes`."""
    if text is None:
        return None
    parted = FrontMatter.of(text, file=file, mistakes=mistakes)
    table = parted.table(file=file, mistakes=mistakes) if parted else None
    if parted is None or table is None:
        return None
    lines_before = parted.lines_before

    def refuse(line: int, value: str, expected: str) -> None:
        mistakes.append(InputError(file, lines_before + line, "text", value, expected))

    page = ContentPage(
        slug=slug,
        locale=locale,
        language=language,
        title=table.text("title", length_max=_TITLE_LENGTH_MAX),
        description=table.text("description", length_max=_DESCRIPTION_LENGTH_MAX),
        body_html=to_html(parted.body, heading_level_min=2, refuse=refuse, root=root),
    )
    table.done()
    return page
