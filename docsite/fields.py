"""Make the reference of site.toml and of product files: meanings from fields.toml, the rest from the build.

Ask the build's reader about each field: with a value of a wrong type, its error says what it expects; with a
very long text, how long it may be; without the field, whether it is needed; with an unknown field, which
fields a table has. So the page cannot name a field that the build refuses, or leave one out.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from chalicelib.domain.ids import Slug
from docsite.markdown import MADE, fenced, page, table
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.shop_file import read_storefronts
from spillway.sitegen.reading.toml_input import InputError

MEANINGS = Path(__file__).with_name("fields.toml")
UNKNOWN = "zzzzzzzz"
# A value of a type that no field takes, and a text that no field has room for.
WRONG = "07:32:00"
LONG = f'"{"x" * 30_000}"'
LOCALES = ("en-GB", "de")
_KNOWN = re.compile(r"a known field; one of (.+)")
_LENGTH = re.compile(r"at most (\d+) characters")

Read = Callable[[str], list[InputError]]


class Undescribed(Exception):
    """A field of the build that fields.toml does not describe, or describes and the build does not have."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field as fields.toml describes it: an example in TOML, and its meaning.

    `asked` replaces the example where the fields of the examples exclude each other.
    """

    name: str
    example: str
    meaning: str
    asked: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a file: `path` is its name in TOML, empty for the top; `free` tables have any keys."""

    path: str
    title: str
    intro: str
    is_list: bool
    free: bool
    fields: Mapping[str, Field]

    @property
    def place(self) -> str:
        """The table's place in the name of a field that an error gives."""
        return f"{self.path}{'[0]' if self.is_list else ''}." if self.path else ""

    @property
    def head(self) -> str:
        """The table's line in TOML."""
        return f"[[{self.path}]]" if self.is_list else f"[{self.path}]"


@dataclass(slots=True)
class Document:
    """A file as TOML text, with one field or table changed at a time."""

    tables: list[Table]
    changed: dict[tuple[str, str], str | None] = field(default_factory=dict)
    left_out: str | None = None

    def text(self) -> str:
        """Return the whole file."""
        lines = []
        for one in self.tables:
            if self.left_out and (one.path == self.left_out or one.path.startswith(f"{self.left_out}.")):
                continue
            lines += [one.head] if one.path else []
            values = {name: described.asked for name, described in one.fields.items()}
            own = {name: value for (path, name), value in self.changed.items() if path == one.path}
            lines += [f"{name} = {value}" for name, value in {**values, **own}.items() if value is not None]
        return "\n".join(lines)


def site_page(root: Path) -> str:
    """Return the page about site/site.toml."""
    return _page("site", partial(read_site, root))


def product_page(root: Path) -> str:
    """Return the page about the files of site/products/."""
    return _page("product", partial(read_product, root))


def read_site(root: Path, text: str) -> list[InputError]:
    """Return the errors of a site.toml."""
    mistakes: list[InputError] = []
    pages = frozenset({"privacy", "checkout", "about"})
    read_storefronts(text, site=root / "site", page_slugs=pages, mistakes=mistakes)
    return mistakes


def read_product(root: Path, text: str) -> list[InputError]:
    """Return the errors of a product file."""
    mistakes: list[InputError] = []
    reader = ProductFile(
        pictures=root / "site" / "pictures", fraction_digits=2, locales=LOCALES[1:], judged_only=True
    )
    reader.read(text, slug=Slug("field-jacket"), file="site/products/field-jacket.toml", mistakes=mistakes)
    return mistakes


def described(name: str) -> tuple[str, list[Table]]:
    """Return the head of a page and the tables that fields.toml describes for it."""
    data = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))[name]
    return data["head"], [_table(values) for values in data["tables"]]


def disagreements(tables: list[Table], read: Read) -> list[str]:
    """Return where the described tables and the reader disagree, in words; none when the page is true."""
    found = [f"the example of the page: {error}" for error in read(Document(tables).text())]
    for one in tables:
        if one.free:
            continue
        inner = {_key(other.path, one.path) for other in tables} - {None}
        ours = {*one.fields, *inner} - set(LOCALES)
        theirs = known_fields(tables, one, read) - set(LOCALES)
        found += [f"{one.head} {missing}: not described in fields.toml" for missing in sorted(theirs - ours)]
        found += [
            f"{one.head} {extra}: the build has no such field" for extra in sorted(ours - theirs, key=str)
        ]
    return found


def known_fields(tables: list[Table], one: Table, read: Read) -> set[str]:
    """Return the names of the fields that the reader knows in a table."""
    for error in read(Document(tables, {(one.path, UNKNOWN): "1"}).text()):
        if error.field == f"{one.place}{UNKNOWN}" and (known := _KNOWN.match(error.expected)):
            return set(known[1].split(", "))
    return set()


def expectation(tables: list[Table], one: Table, name: str, read: Read) -> str:
    """Return what the reader expects of a field, in the words of its errors."""
    place = f"{one.place}{name}"
    expected = _error(read(Document(tables, {(one.path, name): WRONG}).text()), place)
    if expected == "a text":
        long = _error(read(Document(tables, {(one.path, name): LONG}).text()), place)
        if length := _LENGTH.search(long):
            return f"text, at most {int(length[1]):,} characters"
    return expected.removeprefix("a ") if expected.startswith("a text") else expected


def is_needed(tables: list[Table], one: Table, name: str, read: Read) -> bool:
    """Return whether the reader refuses a file without the field."""
    return bool(_error(read(Document(tables, {(one.path, name): None}).text()), f"{one.place}{name}"))


def table_is_needed(tables: list[Table], one: Table, read: Read) -> bool:
    """Return whether the reader refuses a file without the table."""
    if not one.path:
        return True
    errors = read(Document(tables, left_out=one.path).text())
    return any(error.field == one.path or error.field.startswith(one.place) for error in errors)


def _page(name: str, read: Read) -> str:
    head, tables = described(name)
    if found := disagreements(tables, read):
        raise Undescribed("\n".join(found))
    parts = [MADE, head]
    for one in tables:
        parts += _section(tables, one, read)
    return page(*parts)


def _section(tables: list[Table], one: Table, read: Read) -> Iterator[str]:
    yield f"## {one.title}"
    needed = table_is_needed(tables, one, read)
    if one.path:
        yield f"Table `{one.head}`, {'needed' if needed else 'optional'}. {one.intro}".strip()
    elif one.intro:
        yield one.intro
    lines = [one.head] if one.path else []
    lines += [f"{item.name} = {item.example}" for item in one.fields.values()]
    yield fenced("\n".join(lines), "toml")
    if one.free:
        return
    rows = [
        [
            f"`{item.name}`",
            item.meaning,
            expectation(tables, one, item.name, read),
            "yes" if is_needed(tables, one, item.name, read) else "no",
        ]
        for item in one.fields.values()
    ]
    yield table(["field", "meaning", "value", "needed"], rows)


def _table(values: Mapping[str, Any]) -> Table:
    fields = {
        name: Field(name, value["example"], value.get("meaning", ""), value.get("asked", value["example"]))
        for name, value in values["fields"].items()
    }
    path = values.get("path", "")
    return Table(
        path.strip("[]"),
        values["title"],
        " ".join(values.get("intro", "").split()),
        path.startswith("[["),
        values.get("free", False),
        fields,
    )


def _key(path: str, parent: str) -> str | None:
    """Return the field of `parent` that holds the table at `path`, None where it is elsewhere."""
    inside = path.removeprefix(f"{parent}.") if parent else path
    return inside.partition(".")[0] if path and inside and (not parent or inside != path) else None


def _error(errors: list[InputError], place: str) -> str:
    return next((error.expected for error in errors if error.field == place), "")
