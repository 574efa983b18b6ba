"""Read a merchant's Markdown: front matter, sanitised HTML, and the pages under site/pages.

HTML of a merchant has no raw tags, no scripts and no pictures from elsewhere.
"""

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

_FRONT_MATTER = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TITLE_LENGTH_MAX = 120
_DESCRIPTION_LENGTH_MAX = 300

_TAGS = {
    *("p", "br", "hr", "ul", "ol", "li", "strong", "em", "s", "a", "blockquote", "code", "pre"),
    *("h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
# Any sign that may be syntax of Markdown or of HTML.
_SYNTAX = re.compile("[^\\w\n ,.;:'\"()?!%/\u2013\u2014\u2018\u2019\u201c\u201d\u2026£€-]")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_PLAIN_LINK = re.compile(r"\]\(((?:https?://|mailto:|tel:|/|#)[A-Za-z0-9_.~/?#@!$'*+,;:=%-]*)\)")
# Paths that are the same in every locale.
_FILES_AND_API = ("/api/", "/assets/", "/pictures/")
_SCHEMES = {"https", "http", "mailto", "tel"}
_LINK_EXPECTED = "a link to https://, mailto:, tel: or a path of this shop"


def to_html(
    text: str, *, heading_level_min: int, refuse: Callable[[int, str, str], None], root: str = ""
) -> str:
    """Render Markdown as sanitised HTML.

    Args:
        text: the Markdown.
        heading_level_min: the level that higher headings are lowered to.
        refuse: called for each link or picture that a page may not have, with its line in `text`, its
            value and what was expected instead.
        root: the path that pages of the locale are under; it is put before links to pages of the shop, so
            that a translator need not change them.
    """
    if _is_plain(text):
        # Most descriptions are plain paragraphs. The parser would return the same.
        paragraphs = (paragraph.strip("\n") for paragraph in text.split("\n\n"))
        return "".join([f"<p>{paragraph}</p>\n" for paragraph in paragraphs if paragraph])
    return _parsed_to_html(text, heading_level_min, refuse, root)


def is_clearly_valid(text: str) -> bool:
    """Return whether `to_html` refuses nothing in `text`, by a check that does not parse it.

    True means that every link is inline and safe, and that there are no pictures. False means that only
    `to_html` can decide.
    """
    if "[" not in text and "<" not in text:
        return True
    bare = _ESCAPED.sub("", text)
    if "<" in bare or "![" in bare or "]:" in bare:
        return False
    links = _PLAIN_LINK.findall(bare)
    return len(links) == bare.count("](") and all(map(safe_link, links))


def _is_plain(text: str) -> bool:
    """Return whether each line begins with a letter and has no syntax of Markdown or HTML."""
    lines = [line for line in text.split("\n") if line]
    plain = all(line[0].isalpha() and line[-1] != " " for line in lines)
    return bool(lines) and plain and "_" not in text and not _SYNTAX.search(text)


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
    # The parser accepts every link; its token is judged later, so that an unsafe link becomes an error with
    # a line and not a text that has silently lost its link.
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]
    return markdown


def _inline(tokens: "list[Token]") -> "Iterator[tuple[int, Token]]":
    for token in tokens:
        for child in token.children or ():
            yield (token.map[0] + 1 if token.map else 1), child


def _without_empty_headers(tokens: "list[Token]") -> "list[Token]":
    """Drop empty table headers: Markdown requires a header, so a table without one has it empty."""
    kept: list[Token] = []
    for token in tokens:
        kept.append(token)
        if token.type == "thead_close":
            start = next(at for at in range(len(kept) - 1, -1, -1) if kept[at].type == "thead_open")
            if not any(inner.type == "inline" and inner.content for inner in kept[start:]):
                del kept[start:]
    return kept


def _under(root: str, url: str) -> str:
    if not url.startswith("/") or url.startswith(_FILES_AND_API) or f"{url}/".startswith(f"{root}/"):
        return url
    return root if url == "/" else f"{root}{url}"


def safe_link(url: str) -> bool:
    """Return whether a page may link to `url`: a web, email or telephone address, or a path of the shop."""
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    if address.scheme:
        return address.scheme in _SCHEMES
    return not address.netloc and url.startswith(("/", "#")) and not url.startswith("//") and "\\" not in url


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A Markdown file with TOML at its top between two lines of +++.

    `front` is the TOML, `body` the Markdown below, and `lines_before` the number of lines above `body`.
    """

    front: str
    body: str
    lines_before: int

    @classmethod
    def of(cls, text: str, *, file: str, mistakes: list[InputError]) -> "FrontMatter | None":
        """Split the text of a file; return None and note an error when it has no front matter."""
        text = text.replace("\r\n", "\n")
        front = _FRONT_MATTER.match(text)
        if not front:
            first_line = text.partition("\n")[0]
            mistakes.append(InputError(file, 1, "front matter", first_line, "TOML between two lines of +++"))
            return None
        return cls(front[1], text[front.end() :], text[: front.end()].count("\n"))

    def table(self, *, file: str, mistakes: list[InputError], **also: str) -> TomlTable | None:
        """Parse the TOML, with the fields `also` that the body states; return None when it is not TOML."""
        return TomlTable.parse(
            self.front,
            file=file,
            mistakes=mistakes,
            first_line=2,
            also=also,
            also_from=self.lines_before + 1,
        )


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
    """Read site/pages/SLUG.md, or its translation SLUG.LOCALE.md.

    Args:
        text: the text of the file, None when it cannot be read.
        slug: the page's slug.
        locale: the locale that gets the page.
        language: the locale the text is written in: the first one where there is no translation.
        root: the path that pages of `locale` are under.
        file: the name that errors give.
        mistakes: the list that errors are appended to.

    Returns:
        The page, None when the text has no front matter.
    """
    if text is None:
        return None
    parts = FrontMatter.of(text, file=file, mistakes=mistakes)
    table = parts.table(file=file, mistakes=mistakes) if parts else None
    if parts is None or table is None:
        return None
    lines_before = parts.lines_before

    def refuse(line: int, value: str, expected: str) -> None:
        mistakes.append(InputError(file, lines_before + line, "text", value, expected))

    page = ContentPage(
        slug=slug,
        locale=locale,
        language=language,
        title=table.text("title", length_max=_TITLE_LENGTH_MAX),
        description=table.text("description", length_max=_DESCRIPTION_LENGTH_MAX),
        body_html=to_html(parts.body, heading_level_min=2, refuse=refuse, root=root),
    )
    table.done()
    return page
