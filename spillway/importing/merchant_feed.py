"""A Google Merchant feed: RSS or Atom, one item for each variant, joined by item_group_id."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from spillway.counted import counted
from spillway.errors import BadInput
from spillway.importing.imported import Export, ImportedPicture, ImportedProduct, ImportedVariant, NotTaken

_GOOGLE = "{http://base.google.com/ns/1.0}"
_OPTIONS = ("color", "size", "material", "pattern", "age_group", "gender")
_TAKEN = frozenset(
    {"id", "title", "description", "price", "availability", "link", "brand", "image_link"}
    | {"additional_image_link", "item_group_id", "product_type", "google_product_category", *_OPTIONS}
)
_FILE_SIZE_BYTES_MAX = 200_000_000
_CAN_BUY = frozenset({"in_stock", "in stock", "limited_availability"})
_LATER = frozenset({"preorder", "backorder", "available for order"})


def read_merchant_feed(file: Path) -> Export:
    """The products of a feed.

    Raises:
        BadInput: the file is no such feed.
    """
    items = list(_items(_root_of(file)))
    if not items:
        raise BadInput(f"{file}: no item in it", way_out="name a Google Merchant feed in XML")
    groups: dict[str, list[tuple[int, Element]]] = {}
    for number, item in enumerate(items, 1):
        key = _value(item, "item_group_id") or _value(item, "id") or f"item-{number}"
        groups.setdefault(key, []).append((number, item))
    unknown: dict[str, int] = {}
    for item in items:
        for child in item:
            name = _name(child)
            if name not in _TAKEN and (child.text or "").strip():
                unknown[name] = unknown.get(name, 0) + 1
    not_taken = [
        NotTaken(f"element {name}", counted(count, "value"), "the shop has no place for them")
        for name, count in sorted(unknown.items())
    ]
    return Export(tuple(_product(key, group) for key, group in groups.items()), tuple(not_taken))


def _root_of(file: Path) -> Element:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", way_out="name a file that can be read") from error
    # A feed declares no entities; a file that does wants to fill the memory.
    if len(content) > _FILE_SIZE_BYTES_MAX or b"<!ENTITY" in content or b"<!DOCTYPE" in content:
        raise BadInput(f"{file}: not a plain feed", way_out="name a Google Merchant feed in XML")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - without entities
    except ElementTree.ParseError as error:
        raise BadInput(f"{file}:{error.position[0]}: {error}", way_out="export the feed again") from error


def _items(root: Element) -> Iterator[Element]:
    return (each for each in root.iter() if _name(each) in {"item", "entry"})


def _product(key: str, group: list[tuple[int, Element]]) -> ImportedProduct:
    number, first = group[0]
    varying = [name for name in _OPTIONS if len({_value(item, name) for _, item in group}) > 1]
    pictures: dict[str, ImportedPicture] = {}
    for _, item in group:
        for child in item:
            if _name(child) in {"image_link", "additional_image_link"} and (child.text or "").strip():
                pictures.setdefault(
                    (child.text or "").strip(), ImportedPicture((child.text or "").strip(), "")
                )
    brand = _value(first, "brand")
    kind = _value(first, "product_type") or _value(first, "google_product_category")
    return ImportedProduct(
        place=f"item {number}",
        handle="",
        title=_value(first, "title"),
        body_html=_value(first, "description"),
        category=kind.rpartition(">")[2].strip(),
        summary="",
        details=(("Brand", brand),) if brand else (),
        tags=(),
        variants=tuple(_variant(number, item, varying) for number, item in group),
        pictures=tuple(pictures.values()),
        page_name="" if len(group) == 1 else f"{_value(first, 'title')} {key}",
    )


def _variant(number: int, item: Element, varying: list[str]) -> ImportedVariant:
    availability = _value(item, "availability").lower()
    return ImportedVariant(
        place=f"item {number}",
        sku=_value(item, "id"),
        price=re.sub(r"[^0-9.,]", "", _value(item, "price")),
        options=tuple((name.replace("_", " ").title(), _value(item, name) or "-") for name in varying),
        units=None if availability in _CAN_BUY else 0,
        sells_on=availability in _LATER,
        picture=_value(item, "image_link"),
    )


def _value(item: Element, name: str) -> str:
    for child in item:
        if _name(child) == name:
            return (child.text or "").strip()
    return ""


def _name(element: Element) -> str:
    return element.tag.removeprefix(_GOOGLE).rpartition("}")[2]
