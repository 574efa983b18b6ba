"""The values of an export, in one shape for every program that writes one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

# Outcomes and kinds of findings that decide what counts as left out.
VARIANT_LEFT_OUT = "the variant is left out"
NOT_FOR_SALE = "left out: it is not for sale"
WITHOUT_VARIANTS = "products without a variant that can be sold"
PRODUCTS_NOT_FOR_SALE = "products that are not for sale in the other shop, left out"
GROUPED_PRODUCTS = "grouped and external products, left out"
NOT_FOR_SALE_KINDS = frozenset({PRODUCTS_NOT_FOR_SALE, GROUPED_PRODUCTS})


@dataclass(frozen=True, slots=True)
class ImportedVariant:
    """One row that can be bought.

    `units` is None where the shop does not count; `sells_on` says that it
    is for sale even when there are none; `availability` is schema.org's word, empty where the export says
    nothing. `price` and `compare_at_price` (the former price) are plain decimal numbers. `position` is
    its place among the variants of its product where the export says one. `available_on` is the day on which
    it ships when it is sold ahead. Other texts are as the export has
    them, unchecked.
    """

    place: str
    sku: str
    price: str
    options: tuple[tuple[str, str], ...]
    units: int | None
    sells_on: bool = False
    picture: str = ""
    availability: str = ""
    compare_at_price: str = ""
    sale_ends_on: str = ""
    gtin: str = ""
    mpn: str = ""
    weight_g: int | None = None
    variant_id: str = ""
    checkout_url: str = ""
    position: int | None = None
    available_on: str = ""


@dataclass(frozen=True, slots=True)
class ImportedPicture:
    """A picture by the address the export gives, and what it shows.

    `position` is its place among those of
    its product where the export numbers them, or its place within a cell; None where only rows order them.
    """

    url: str
    alt: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedProduct:
    """One product.

    `place` is where it stands in the export: "line 12"; `handle` its address in the other
    shop, empty where the export names none: its page is then called by its title, or by `page_name`.
    `categories` are further ones beside `category`; `old_paths` are the paths the product had in the other
    shop; `description` is Markdown, and `opening` the plain words it begins with.
    """

    place: str
    handle: str
    title: str
    category: str
    summary: str
    details: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]
    variants: tuple[ImportedVariant, ...]
    pictures: tuple[ImportedPicture, ...]
    page_name: str = ""
    description: str = ""
    opening: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""
    condition: str = ""
    seo_title: str = ""
    seo_description: str = ""
    released_on: str = ""
    old_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Omission:
    """Something of the export that the shop does not hold as it was.

    Attributes:
        place: Where it stands in the export: "line 12".
        what: The value, or the part of the product.
        outcome: The result: "left out".
        kind: The same words for every case like it, for a line with a count on the screen and a heading in
            the report: "prices that are no number"; `outcome` where it is empty.
        product: The handle or title of the product it belongs to; empty where there is none.
    """

    place: str
    what: str
    outcome: str
    kind: str = ""
    product: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.outcome}"


@dataclass(frozen=True, slots=True)
class Export:
    """Everything that was read of one export."""

    products: tuple[ImportedProduct, ...]
    not_taken: tuple[Omission, ...]


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PictureChoice:
    """The file in site/pictures that stands for a picture of the export.

    `file` is empty where there is none, and `kind` and `outcome` then say why.
    """

    file: str
    kind: str = ""
    outcome: str = ""


FindPicture = Callable[[str], PictureChoice]


class MapBatches(Protocol):
    """Does `work` for parts of `things`, in their order, and returns the result for each part."""

    def __call__(self, work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
        """Args: `work` gives the same result twice; `what` names it on a progress bar."""
        ...


def alone(work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
    """Do all of it here and now."""
    return [work(things)]
