"""Read the cells of an export: the settings of the shop and the command line, stock words, and findings."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from chalicelib.domain.stock import Availability
from spillway.importing.description import ConvertedBody, markdown_of
from spillway.importing.html_text import html_of
from spillway.importing.imported import VARIANT_LEFT_OUT, ImportedProduct, MapBatches, Omission, alone
from spillway.importing.names import cut
from spillway.importing.prices import PriceReader, PriceRefused, readings_of
from spillway.importing.sheet import unambiguous
from spillway.importing.table import TableFile
from spillway.terminal import pluralize

T = TypeVar("T")

_GRAMS = {
    **dict.fromkeys(("g", "gram", "grams", "gr"), Decimal(1)),
    **dict.fromkeys(("kg", "kgs", "kilogram", "kilograms"), Decimal(1000)),
    **dict.fromkeys(("mg",), Decimal("0.001")),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), Decimal("453.59237")),
    **dict.fromkeys(("oz", "ounce", "ounces"), Decimal("28.349523125")),
}
# Units of which a thing has many: their decimals say little.
_SMALL_UNITS = frozenset({"g", "gram", "grams", "gr", "mg"})
_POSITION_DIGITS_MAX = 9
_WEIGHT_G_MAX = 100_000_000
_WEIGHT = re.compile(r"\s*([0-9](?:[0-9.,'\u2019\s]*[0-9])?)\s*([a-z]*)\.?\s*", re.IGNORECASE)
_WHOLE = re.compile(r"\s*([+-]?)([0-9](?:[0-9.,'\u2019\s]*[0-9])?)[.,]?\s*")
_DIGITS_MAX = 15
_SHOWN_MAX = 60
# A day, and a time that may follow it. "2026-11-01 - 2026-11-30" is no day.
_TIME = r"\d{1,2}(?::?\d{2}){0,2}(?:[.,]\d+)?"
_ZONE = r"[A-Za-z]{1,5}|[+-]\d{1,2}(?::?\d{2})?"
_DAY = re.compile(
    rf"(\d{{4}}-\d{{2}}-\d{{2}}|\d{{8}})(?:[T\s]\s*{_TIME}(?:\s*[AaPp][Mm])?(?:\s*(?:{_ZONE}))?)?", re.ASCII
)
_CONDITIONS = {"new": "new", "used": "used", "refurbished": "refurbished", "": ""}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The shop's settings and the command's options that every reader takes.

    Attributes:
        currency: The shop's currency, an ISO 4217 code. A price in another one is refused.
        locale: The locale whose way of writing numbers decides, such as "en-GB".
        currency_as_is: Take a price in another currency by its number (`--currency-as-is`).
        encoding: The file's character encoding (`--encoding`); empty means UTF-8, or UTF-16 with a mark.
        columns: Our column name to the file's header (`--column price="Regular price"`).
        old_shop: The address of the shop that made the export, such as "https://old.example"
            (`--old-shop`); empty where it is not known. Relative links are resolved against it.
        today: The day of the import, "2026-11-27": a sale that is over, or has not begun, has no price.
            Empty takes every sale as running.
        share: Does the work for many products.
    """

    currency: str
    locale: str = "en"
    currency_as_is: bool = False
    encoding: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    old_shop: str = ""
    today: str = ""
    share: MapBatches = alone

    def prices(self, *, decimal_point: bool = False, groups: bool = True) -> PriceReader:
        """Return what reads prices. The format may prescribe a `decimal_point`, or have no `groups`."""
        return PriceReader(self.currency, self.locale, self.currency_as_is, decimal_point, groups)


class Notes:
    """Collects what an export has and the shop does not hold as it was.

    Its lines are about one place, such as a row, of the product with that handle or title.
    """

    def __init__(self, place: str = "", product: str = "", lines: list[Omission] | None = None) -> None:
        self.place = place
        self.lines = [] if lines is None else lines
        self._product = product

    def at(self, place: str, product: str = "") -> "Notes":
        """Return what adds lines about another place to the same ones."""
        return Notes(place, product, self.lines)

    def lost(self, what: str, outcome: str, kind: str) -> None:
        """Add a line. `kind` is the same words for every case like it."""
        self.lines.append(Omission(self.place, what, outcome, kind, self._product))

    def read(
        self, groups: Sequence[T], product: Callable[[T], ImportedProduct | None], share: MapBatches
    ) -> tuple[ImportedProduct, ...]:
        """Return what `product` reads of each group of rows.

        The lines it adds here keep the groups' order in any number of processes.
        """

        def work(part: Sequence[T]) -> tuple[list[ImportedProduct], list[Omission]]:
            before, self.lines = self.lines, []
            try:
                found = [read for group in part if (read := product(group)) is not None]
                return found, self.lines
            finally:
                self.lines = before

        products: list[ImportedProduct] = []
        for found, lines in share(work, groups, "Reading products"):
            products += found
            self.lines += lines
        return tuple(products)

    def unknown_columns(self, table: TableFile, known: Callable[[str], bool]) -> None:
        """Add a line for each column that has values and no place in the shop."""
        for column in table.columns:
            if not known(column) and (count := sum(1 for row in table.rows if row[column])):
                kind = "columns that the shop has no place for"
                values = pluralize(count, "value")
                self.at(f"column {column}").lost(values, "the shop has no place for them", kind)


class ProductLinks:
    """Knows which paths of the other shop lead to a product that this shop will have."""

    def __init__(self, handles: Iterable[str], *, base: str = "") -> None:
        self.base = base
        self._handles = frozenset(handles)

    def own_path(self, path: str) -> str:
        """Return the path of the product's page here; empty where the path leads elsewhere."""
        found = re.fullmatch(r"(?:/[a-z]{2}(?:-[a-z]{2})?)?(?:/collections/[^/]+)?/products/([^/]+)/?", path)
        handle = unquote(found[1]).casefold() if found else ""
        return f"/products/{handle}" if handle and handle in self._handles else ""


def price_of(text: str, prices: PriceReader, notes: Notes, *, label: str = "price") -> str:
    """Return the price as a plain decimal; empty, with a line, where it cannot be read.

    Only a "price" has to be there: an empty text of another `label` is none.
    """
    if not text and label != "price":
        return ""
    try:
        return prices.read(unambiguous(text))
    except PriceRefused as refused:
        outcome = VARIANT_LEFT_OUT if label == "price" else "left out"
        kind = refused.kind if label == "price" else f"{label}s that cannot be taken"
        notes.lost(f"{label} {text!r}: {refused}" if text else "no price", outcome, kind)
        return ""


def description_of(text: str, notes: Notes, links: ProductLinks, *, newlines_count: bool) -> ConvertedBody:
    """Return a description as Markdown, and add a line for each kind of thing it lost.

    `text` is HTML, or plain text with paragraphs and lists. `newlines_count` says that a line end in HTML
    without paragraphs ends a paragraph, as in WordPress.
    """
    if not text.strip():
        return ConvertedBody("")
    body = markdown_of(
        html_of(text, newlines_count=newlines_count), link_base=links.base, own_path=links.own_path
    )
    for what, outcome in body.lost:
        kind = re.sub(r""" (['"]).*\1| \(\d+ times\)""", "", what, flags=re.DOTALL)
        notes.lost(what, outcome, f"{kind}: {outcome}")
    return body


def weight_g_of(text: str, unit: str, notes: Notes, *, locale: str = "en") -> int | None:
    """Return whole grams; None for no weight or, with a line, for one that cannot be read.

    A text that can be two weights, "1.200 g", is read as `locale` does where that is a weight of thousands of
    grams or of parts of another unit, and as none otherwise.
    """
    if not text.strip():
        return None
    found = _WEIGHT.fullmatch(text)
    named = (found[2] or unit).casefold().strip() if found else ""
    amount = _amount(found[1], locale, large=named in _SMALL_UNITS) if found else None
    grams = round(amount * _GRAMS[named]) if amount is not None and named in _GRAMS else -1
    if not 0 <= grams <= _WEIGHT_G_MAX:
        notes.lost(f"weight {text!r} {unit}".strip(), "left out", "weights that cannot be read")
        return None
    return grams or None


def _amount(number: str, locale: str, *, large: bool) -> Decimal | None:
    """Return the value of a number; None where it has none, or two and the locale's is not the likely one."""
    if len(number) > _DIGITS_MAX:
        return None
    if number.isdecimal():
        return Decimal(number)
    values, own = readings_of(number, locale)
    if len(values) < 2:
        return next(iter(values), None)
    return own if own == (max(values) if large else min(values)) else None


def condition_of(text: str, notes: Notes) -> str:
    """Return "new", "used" or "refurbished"; empty, with a line, for another condition."""
    word = text.strip().casefold().rpartition("/")[2].removesuffix("condition")
    if word not in _CONDITIONS:
        notes.lost(f"condition {text!r}", "left out", "conditions that are not known")
    return _CONDITIONS.get(word, "")


def day_of(text: str) -> str:
    """Return the day that a date, with or without a time, falls on: "2026-11-27"; empty for none."""
    found = _DAY.fullmatch(text.strip())
    try:
        return date.fromisoformat(found[1]).isoformat() if found else ""
    except ValueError:
        return ""


def stated_day(text: str, label: str, notes: Notes) -> str:
    """Return the day of a date; empty for none or, with a line, for one that cannot be read."""
    day = day_of(text)
    if text.strip() and not day:
        notes.lost(f"{label} {text!r}", "left out", "dates that cannot be read")
    return day


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale price and its first and last day, as the export has them; empty where it has none."""

    price: str
    starts: str = ""
    ends: str = ""

    def applied_to(self, price: str, notes: Notes, *, today: str, former: str = "") -> tuple[str, str, str]:
        """Return (price, former price, last day of the sale) where `price` is the regular one.

        A sale that is no lower price is none, and neither is one at zero: many programs write 0 for no sale.
        Neither is one that is over on `today`, has not begun, or has days that cannot be read. Each gets a
        line.

        Args:
            price: The regular price.
            notes: Takes the lines.
            today: The day of the import; empty takes a sale as running.
            former: The former price, which stays where there is no sale.
        """
        if not self.price:
            for label, text in (("start of a sale", self.starts), ("end of a sale", self.ends)):
                if day := stated_day(text, label, notes):
                    note_day_without_sale(f"{label} {day}", notes)
            return price, former, ""
        if Decimal(self.price) == Decimal(price):
            return price, former, ""
        kind, when = self._reason_not_running(price, today)
        if kind:
            what = f"sale price {self.price} {when}".rstrip()
            notes.lost(what, f"the price is {price}", kind)
            return price, former, ""
        if former and Decimal(former) > Decimal(price):
            kind = "former prices beside a sale, which has the regular price as its former one"
            notes.lost(f"compare-at price {former}", f"the former price is {price}", kind)
        return self.price, price, day_of(self.ends)

    def _reason_not_running(self, price: str, today: str) -> tuple[str, str]:
        """Return the kind of reason for which the sale is none, and its days; empty where it runs."""
        if not Decimal(self.price):
            return "sale prices of zero, which many exports have where there is no sale", ""
        starts_on, ends_on = day_of(self.starts), day_of(self.ends)
        if bool(starts_on) != bool(self.starts.strip()) or bool(ends_on) != bool(self.ends.strip()):
            days = [f"from {self.starts!r}"] * bool(self.starts) + [f"until {self.ends!r}"] * bool(self.ends)
            return "sales whose days cannot be read", " ".join(days)
        if today and ends_on and ends_on < today:
            return "sales that are over", f"until {ends_on}"
        if today and starts_on and starts_on > today:
            return "sales that have not begun", f"from {starts_on}"
        higher = Decimal(self.price) > Decimal(price)
        return ("sale prices that are above the price", "") if higher else ("", "")


def note_day_without_sale(day: str, notes: Notes) -> None:
    """Note a day of a sale where the export has no sale price and no former price."""
    notes.lost(day, "left out: there is no sale", "days of a sale where there is none")


def position_of(text: str) -> int | None:
    """Return the number that a column gives a variant among those of its product; None for no number."""
    text = text.strip().removesuffix(".0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _POSITION_DIGITS_MAX else None


class Cells(Protocol):
    """A row of a table, or an item of a feed."""

    def __getitem__(self, column: str, /) -> str: ...


def first_of(rows: Iterable[Cells], column: str, notes: Notes | None = None) -> str:
    """Return the first value of a column that is not empty; add a line to `notes` for each other one."""
    first, *others = dict.fromkeys(text for row in rows if (text := row[column])) or [""]
    if notes:
        kind = "rows that differ in what their product has one of"
        for other in others:
            what = f"{column.replace('_', ' ')} {cut(other, _SHOWN_MAX)!r}"
            notes.lost(what, f"left out: {cut(first, _SHOWN_MAX)!r} counts", kind)
    return first


def path_of(url: str) -> str:
    """Return the path of an address, as a shopper's browser sends it; empty for the home page."""
    try:
        path = urlsplit(url.strip()).path
    except ValueError:
        return ""
    return path if path.startswith("/") and path.strip("/") else ""


def origin_of(url: str) -> str:
    """Return the scheme and host of an address: "https://shop.example"; empty where it has none."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} and parts.netloc else ""


def split_list(text: str, sign: str = ",") -> tuple[str, ...]:
    """Return the parts of a list, each once. A sign after a backslash belongs to its part."""
    parts = re.split(rf"(?<!\\){re.escape(sign)}", text)
    return tuple(dict.fromkeys(part.replace(f"\\{sign}", sign).strip() for part in parts if part.strip()))


# Their variants have no unit to sell, whatever the export counts.
WITHOUT_UNITS = frozenset({Availability.OUT_OF_STOCK, Availability.DISCONTINUED, Availability.COMING_SOON})
_WORDS = {
    **dict.fromkeys(
        ("instock", "limitedavailability", "onlineonly", "available", "instockavailable"), "InStock"
    ),
    **dict.fromkeys(("outofstock", "soldout", "unavailable", "notavailable"), "OutOfStock"),
    **dict.fromkeys(("preorder", "presale", "availableforpreorder"), "PreOrder"),
    **dict.fromkeys(("backorder", "onbackorder", "availableforbackorder", "availablefororder"), "BackOrder"),
    "madetoorder": "BackOrder",
    "discontinued": "Discontinued",
    **dict.fromkeys(("comingsoon", "notyetreleased", "notyetavailable", "unreleased"), "ComingSoon"),
}


def availability_of(text: str, notes: Notes) -> Availability | None:
    """Return what a word says, in any of its spellings: "in stock", "InStock", "https://schema.org/InStock".

    None for no word and, with a line, for one that is not known.
    """
    word = re.sub(
        r"[\W_]+", "", re.sub(r"\A.*schema\.org[/:]", "", text.strip(), flags=re.IGNORECASE)
    ).casefold()
    if not word:
        return None
    if word not in _WORDS:
        kind = "availabilities that are not known, taken as in stock unless counted"
        notes.lost(f"availability {text!r}", "taken as in stock unless counted", kind)
        return None
    return Availability(_WORDS[word])


def units_of(text: str, locale: str = "en") -> int | None:
    """Return a whole number of units, which may be below zero: "3", "3.0", "1,200"; None for others.

    "1,000" can be a thousand or one with three decimals: it is a thousand where `locale` reads it so.
    """
    found = _WHOLE.fullmatch(text)
    if not found or len(found[2]) > _DIGITS_MAX:
        return None
    if found[2].isdecimal():
        return int(f"{found[1]}{found[2]}")
    values, own = readings_of(found[2], locale)
    whole = {int(value) for value in values if value == value.to_integral_value()}
    units = max(whole, default=None)
    if units is None or (len(whole) > 1 and own != units):
        return None
    return -units if found[1] == "-" else units


def stated_units(text: str, notes: Notes, *, locale: str = "en") -> int | None:
    """Return the units that can be sold; None where the text says none.

    A text that is no number, and one below zero, is 0 and gets a line.
    """
    if not text:
        return None
    units = units_of(unambiguous(text), locale)
    if units is None:
        notes.lost(f"stock {text!r}", "taken for none", "quantities that are no number")
    elif units < 0:
        notes.lost(f"stock {text}", "taken for none", "quantities below zero")
    return max(0, units or 0)
