"""Read a Google Merchant feed: XML (RSS or Atom) or a table with tabs, one item for each variant.

The attributes are those of https://support.google.com/merchants/answer/7052112. Items of one item_group_id
are the variants of one product.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from chalicelib.domain.stock import Availability
from spillway.errors import BadInput
from spillway.importing.html_text import line_of
from spillway.importing.imported import Export, ImportedPicture, ImportedProduct, ImportedVariant
from spillway.importing.platforms import refuse_other
from spillway.importing.reading import (
    WITHOUT_UNITS,
    Notes,
    ProductLinks,
    ReadOptions,
    Sale,
    availability_of,
    condition_of,
    description_of,
    first_of,
    origin_of,
    path_of,
    price_of,
    stated_day,
    stated_units,
    weight_g_of,
)
from spillway.importing.table import decoded, read_bytes, read_table
from spillway.terminal import pluralize

_GOOGLE = "{http://base.google.com/ns/1.0}"
_OPTIONS = ("color", "size", "material", "pattern", "age_group", "gender")
_QUANTITIES = ("quantity", "sell_on_google_quantity", "quantity_to_sell_on_facebook", "inventory")
# An item may have several of these.
_LISTS = frozenset({"product_type", "product_detail", "image_link", "additional_image_link"})
_TAKEN = frozenset(
    {"id", "title", "description", "price", "sale_price", "sale_price_effective_date", "availability", "link"}
    | {"availability_date", "brand", "gtin", "mpn", "condition", "item_group_id", "identifier_exists"}
    | {"google_product_category", "shipping_weight", "product_weight", *_LISTS, *_OPTIONS, *_QUANTITIES}
)
_LINKED_VARIANT = re.compile(r"/products/[^?#]*\?(?:[^#]*&)?variant=([0-9]+)(?=[&#]|\Z)")
_SHOPIFY_ID = re.compile(r"shopify_[A-Z]{2}_[0-9]+_([0-9]+)", re.IGNORECASE)
_TITLE_END = " -\u2013\u2014,/|(:"
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


@dataclass(frozen=True, slots=True)
class _Item:
    """One item. `values` has every value of an attribute, by its name."""

    place: str
    values: dict[str, list[str]]

    def __getitem__(self, name: str) -> str:
        return self.values[name][0] if name in self.values else ""


def read_merchant_feed(file: Path, options: ReadOptions) -> Export:
    """Return the products of a feed.

    Raises:
        BadInput: the file is no such feed.
    """
    content = read_bytes(file)
    is_xml = decoded_start(content).startswith("<")
    items = list(_xml_items(file, content, options.encoding) if is_xml else _table_items(file, options))
    if not items:
        raise BadInput(f"{file}: no item in it", hint="name a Google Merchant feed, in XML or with tabs")
    return _Reading(items, options).export()


def decoded_start(content: bytes) -> str:
    """Return the first characters of a file, without a mark or spaces, as far as its encoding can be seen."""
    return content[:200].replace(b"\0", b"").decode("latin-1").lstrip("\u00ef\u00bb\u00bf\u00fe\u00ff \t\r\n")


class _Builder(ElementTree.TreeBuilder):
    """Refuses declarations: a feed has none, and a file that does may want to fill the memory."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise BadInput("a feed with a document type", hint="name a Google Merchant feed in XML")


def _xml_items(file: Path, content: bytes, encoding: str) -> Iterator[_Item]:
    text: bytes | str = content
    if encoding:
        text = _XML_DECLARATION.sub("", decoded(file, content, encoding))
    try:
        # Without entities of its own, which the builder refuses.
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314
        root = ElementTree.fromstring(text, parser)  # noqa: S314
    except BadInput as refused:
        raise BadInput(f"{file}: {refused.message}", hint=refused.hint) from refused
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        line = error.position[0] if isinstance(error, ElementTree.ParseError) else 1
        raise BadInput(
            f"{file}:{line}: {error}",
            hint="export the feed again, or name its encoding: --encoding cp1252",
        ) from error
    elements = (element for element in root.iter() if _name(element) in {"item", "entry"})
    for number, element in enumerate(elements, 1):
        yield _Item(f"item {number}", _values(element))


def _values(item: Element) -> dict[str, list[str]]:
    """Return the values of an item's attributes; those of RSS or Atom count where Google's are missing."""
    values: dict[str, list[str]] = {}
    stated = {_name(child) for child in item if child.tag.startswith(_GOOGLE)}
    for child in item:
        name = _name(child)
        if name in stated and not child.tag.startswith(_GOOGLE):
            continue
        parts = {_name(part): (part.text or "").strip() for part in child}
        if name == "product_detail":
            text = _joined_detail(parts) if parts else child.text or ""
        elif name in {"structured_title", "structured_description"}:
            name, text = name.removeprefix("structured_"), parts.get("content", "")
        elif name == "link" and child.get("href") and child.get("rel", "alternate") == "alternate":
            text = child.get("href", "")
        else:
            text = "".join(child.itertext()).strip()
        if text.strip(" :"):
            values.setdefault(name, []).append(text)
    return values


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _table_items(file: Path, options: ReadOptions) -> Iterator[_Item]:
    table = read_table(file, encoding=options.encoding)
    refuse_other(file, table.columns, command="google")
    names = {
        column: re.sub(r"[\s_-]+", "_", re.sub(r" \d+\Z|\A[gc]:", "", column.casefold()))
        for column in table.columns
    }
    missing = [name for name in ("id", "title", "price") if name not in names.values()]
    if missing:
        raise BadInput(
            f"{file}:{table.header_line}: no column for {', '.join(missing)}",
            hint="name a Google Merchant feed, in XML or with tabs",
        )
    for row in table.rows:
        values: dict[str, list[str]] = {}
        for column, text in row.cells.items():
            name = names.get(column, column)
            values.setdefault(name, []).extend(_split(text, ",") if name == "product_detail" else [text])
        yield _Item(f"line {row.line}", values)


class _Reading:
    def __init__(self, items: list[_Item], options: ReadOptions) -> None:
        self._items = items
        self._prices = options.prices(decimal_point=True)
        self._options = options
        self._notes = Notes()
        origins = Counter(origin for item in items if (origin := origin_of(item["link"])))
        self._origin = options.old_shop.rstrip("/") or (origins.most_common(1)[0][0] if origins else "")

    def export(self) -> Export:
        groups: dict[tuple[str, str], list[_Item]] = {}
        for item in self._items:
            group = item["item_group_id"]
            groups.setdefault(("group", group) if group else ("item", item.place), []).append(item)
        # A path that several products share is no page of one of them.
        pages = Counter(
            path for group in groups.values() for path in {self._path(item) for item in group} if path
        )
        products = self._notes.read(
            list(groups.items()),
            lambda found: self._product(found[0][1], found[1], pages),
            self._options.share,
        )
        self._unknown()
        return Export(products, tuple(self._notes.lines))

    def _unknown(self) -> None:
        for item in self._items:
            for name in sorted(item.values.keys() & _TAKEN - _LISTS):
                for text in sorted({*item.values[name]} - {item[name]}):
                    outcome = f"left out: {item[name]!r} counts"
                    kind = "second values of an attribute that has one"
                    self._notes.at(item.place, line_of(item["title"])).lost(f"{name} {text!r}", outcome, kind)
        unknown = Counter(name for item in self._items for name in item.values if name not in _TAKEN)
        for name, count in sorted(unknown.items()):
            kind = "attributes that the shop has no place for"
            values = pluralize(count, "value")
            self._notes.at(f"element {name}").lost(values, "the shop has no place for them", kind)

    def _path(self, item: _Item) -> str:
        link = item["link"]
        same = origin_of(link).replace("://www.", "://") == self._origin.replace("://www.", "://")
        return path_of(link) if same else ""

    def _product(self, key: str, group: list[_Item], pages: Counter[str]) -> ImportedProduct:
        # The order of a feed's items says nothing.
        ordered = sorted(group, key=lambda item: (item["id"], item.place))
        place, title = group[0].place, self._title(group[0].place, ordered)
        name = title or key
        notes = self._notes.at(place, name)
        described = next((item for item in ordered if item["description"]), group[0])
        categories = list(
            dict.fromkeys(_leaf(text) for item in ordered for text in item.values.get("product_type", ()))
        )
        category = next(iter(categories), "") or _leaf(first_of(ordered, "google_product_category", notes))
        details = _details(ordered, notes, varying=self._varying(group))
        paths = dict.fromkeys(path for item in ordered if pages[path := self._path(item)] == 1)
        body = description_of(
            first_of(ordered, "description", notes),
            self._notes.at(described.place, name),
            ProductLinks((), base=described["link"] or self._origin),
            newlines_count=True,
        )
        return ImportedProduct(
            place=place,
            handle="",
            title=title,
            description=body.markdown,
            opening=body.opening,
            category=category,
            categories=tuple(element for element in categories if element and element != category),
            summary="",
            details=details,
            tags=(),
            variants=tuple(self._variants(group, name, title)),
            pictures=tuple(_pictures(ordered)),
            page_name="" if len(group) == 1 and not group[0]["item_group_id"] else f"{title} {key}",
            brand=line_of(first_of(ordered, "brand", notes)),
            condition=condition_of(first_of(ordered, "condition", notes), notes),
            old_paths=tuple(paths),
        )

    def _title(self, place: str, items: list[_Item]) -> str:
        """Return the title that all items of a group have, or else the words that their titles begin with."""
        titles = list(dict.fromkeys(title for item in items if (title := line_of(item["title"]))))
        if len(titles) < 2:
            return next(iter(titles), "")
        shared: list[str] = []
        for words in zip(*(title.split() for title in titles), strict=False):
            if len(set(words)) > 1:
                break
            shared.append(words[0])
        common = " ".join(shared).rstrip(_TITLE_END)
        title = common if len(common) > 2 else titles[0]
        kind = "products whose variants have titles of their own"
        what = f"titles {titles[0]!r}, {titles[1]!r}"
        self._notes.at(place, title).lost(what, f"called {title!r}", kind)
        return title

    def _varying(self, group: list[_Item]) -> list[str]:
        return [name for name in _OPTIONS if len({item[name] for item in group}) > 1]

    def _variants(self, group: list[_Item], name: str, title: str) -> Iterator[ImportedVariant]:
        varying = self._varying(group)
        options = [
            tuple((_label(attribute), item[attribute]) for attribute in varying if item[attribute])
            for item in group
        ]
        if len(set(options)) < len(options):
            # The rest of their titles distinguishes them, or else their ids.
            rests = [line_of(item["title"]).removeprefix(title).strip(_TITLE_END + ")") for item in group]
            alike = len(set(rests)) < len(rests) or not all(rests)
            rests = [item["id"] for item in group] if alike else rests
            options = [(*own, ("Variant", rest)) for own, rest in zip(options, rests, strict=True)]
        for item, own in zip(group, options, strict=True):
            if variant := self._variant(item, own, name):
                yield variant

    def _variant(
        self, item: _Item, options: tuple[tuple[str, str], ...], name: str
    ) -> ImportedVariant | None:
        prices, notes = self._prices, self._notes.at(item.place, name)
        price = price_of(item["price"], prices, notes)
        if not price:
            return None
        sale = price_of(item["sale_price"], prices, notes, label="sale price")
        price, former, ends_on = Sale(sale, *_days(item["sale_price_effective_date"])).applied_to(
            price, notes, today=self._options.today
        )
        quantity = next((item[element] for element in _QUANTITIES if item[element]), "")
        units = stated_units(quantity, notes)
        availability = availability_of(item["availability"], notes)
        if availability in WITHOUT_UNITS:
            units = 0
        weight = item["shipping_weight"] or item["product_weight"]
        return ImportedVariant(
            place=item.place,
            sku=item["id"],
            price=price,
            options=options,
            units=units,
            sells_on=availability is Availability.BACK_ORDER,
            picture=item["image_link"],
            availability=availability.value if availability else "",
            compare_at_price=former,
            sale_ends_on=ends_on,
            gtin=item["gtin"],
            mpn=item["mpn"],
            variant_id=_variant_id(item),
            available_on=stated_day(item["availability_date"], "availability_date", notes),
            weight_g=weight_g_of(weight, "", notes),
        )


def _days(text: str) -> tuple[str, str]:
    """Return the first and the last day of a sale as the feed has them. A text that is no pair is one day."""
    starts, _, ends = text.partition("/")
    return (text, "") if "/" in ends else (starts, ends)


def _variant_id(item: _Item) -> str:
    """Return the id of the variant in the shop that wrote the feed, where a feed of Shopify says it.

    The link to a variant has it as a parameter; https://matrixify.app/documentation/shopify-google-shopping-data-feed-export/
    has the long form of ids.
    """
    found = _LINKED_VARIANT.search(item["link"]) or _SHOPIFY_ID.fullmatch(item["id"])
    return found[1] if found else ""


def _label(attribute: str) -> str:
    return attribute.replace("_", " ").capitalize()


def _leaf(category: str) -> str:
    return line_of(category).rpartition(">")[2].strip()


def _details(items: list[_Item], notes: Notes, *, varying: list[str]) -> tuple[tuple[str, str], ...]:
    """Return what all variants share: attributes that are no choice, and Google's product details."""
    details: dict[str, str] = {}
    for name in _OPTIONS:
        if name not in varying and items[0][name]:
            details[_label(name)] = line_of(items[0][name])
    for item in items:
        for text in item.values.get("product_detail", ()):
            label, value = _detail(text)
            if value and (first := details.setdefault(label or "Detail", value)) != value:
                kind = "product details of one name with another value"
                notes.lost(f"{label or 'Detail'} {value!r}", f"left out: {first!r} counts", kind)
    return tuple(details.items())


def _joined_detail(parts: Mapping[str, str]) -> str:
    """Return a product detail of XML as a table has it, without its section: ":name:value"."""
    names = ("attribute_name", "attribute_value")
    return "".join(":" + re.sub(r"([\\:,])", r"\\\1", parts.get(name, "")) for name in names)


def _split(text: str, sign: str) -> list[str]:
    """Split a text at each sign without a backslash before it. The parts keep their backslashes."""
    parts, start = [], 0
    for found in re.finditer(rf"\\.|{sign}", text, re.DOTALL):
        if found[0] == sign:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _detail(text: str) -> tuple[str, str]:
    """Return the name and the value of a detail, section:name:value, where the section may be missing.

    Many feeds write a colon of the value without a backslash: "Ratio:16:9" has no attribute "16".
    """
    parts = [line_of(re.sub(r"\\([\\:,])", r"\1", part)) for part in _split(text, ":")]
    has_section = len(parts) > 2 and bool(re.search(r"[^\W\d_]", parts[1]))
    parts = ["", *parts] if len(parts) > 1 and not (has_section or not parts[0]) else parts
    if len(parts) < 3:
        return "", parts[-1]
    return parts[1], ":".join(parts[2:])


def _pictures(items: list[_Item]) -> Iterator[ImportedPicture]:
    """Yield every picture once: each item's own, then the additional ones."""
    seen: set[str] = set()
    for name in ("image_link", "additional_image_link"):
        for item in items:
            for text in item.values.get(name, ()):
                # Several addresses may share a value. Inside an address a comma is only a sign.
                comma = r"\s*,\s*(?=https?://|//)" if "//" in text else r"\s*,\s*"
                for url in re.split(rf"{comma}|\s*[\n|]\s*", text.strip()):
                    if url and url not in seen:
                        seen.add(url)
                        yield ImportedPicture(url, "")
