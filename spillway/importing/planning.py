"""The plan of an import, decided before anything is written: `--dry-run` shows it.

The files an import writes depend on the export alone. The shop decides four things only: a file that was
edited by hand is kept, the first date of a product stays, an SKU in conflict stays with the variant that has
it, and so does an id or an address of the checkout that the export does not state.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spillway.errors import BadInput
from spillway.importing.imported import MapBatches, Omission, alone
from spillway.importing.judging import AcceptedProduct, Judgement, gone_pages, judge
from spillway.importing.names import category_slugs
from spillway.importing.normalize import NormalizedExport, NormalizedProduct
from spillway.importing.old_addresses import RedirectPlan, plan_redirects
from spillway.importing.shop_files import (
    ImportRecord,
    MovedProduct,
    ShopFile,
    digest,
    successors,
    with_checkouts,
    with_skus,
)
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.reading.slugs import CATEGORIES_MAX
from spillway.terminal import pluralize


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that gets another text, and what differs: "price", "variant A1: stock"."""

    path: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShopBefore:
    """The shop before an import.

    `categories` are the slugs of its categories, by title in lower case;
    `pages` the paths of its pages of words and of its root files; `redirects` the lines of
    site/redirects.toml; `roots` are the roots of its further editions.
    """

    files: tuple[ShopFile, ...]
    record: ImportRecord
    site_text: str
    categories: Mapping[str, str]
    pages: frozenset[str] = frozenset()
    redirects: tuple[Redirect, ...] = ()
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Every change of an import. Paths are from the project's root; `writes` are texts by names of files.

    `stale_redirects` are old addresses whose page is gone after the import, and what that was.
    """

    products: int
    variants: int
    writes: Mapping[str, str]
    digests: Mapping[str, str]
    new: tuple[str, ...]
    changed: tuple[ChangedFile, ...]
    unchanged: int
    moved: tuple[MovedProduct, ...]
    kept: tuple[Omission, ...]
    gone: tuple[str, ...]
    redirects: Mapping[str, str]
    stale_redirects: Mapping[str, str]
    pages: frozenset[str]
    pictures: frozenset[str]
    new_categories: tuple[str, ...]
    categories: Mapping[str, str]
    site_text: str
    left_out: tuple[Omission, ...]
    not_taken: tuple[Omission, ...]


def plan_import(
    normalized: NormalizedExport,
    before: ShopBefore,
    reader: ProductFile,
    *,
    fallback_category: str,
    today: str,
    share: MapBatches = alone,
) -> ImportPlan:
    """Plan the import of `normalized`.

    Args:
        normalized: what the export says.
        before: the shop as it is.
        reader: judges each product as the build will.
        fallback_category: the title of the category for products that can have no other.
        today: the date of products that have none yet.
        share: does the work for many products.
    """
    return _Planning(normalized, before, reader, fallback_category, today).plan(share)


class _Planning:
    def __init__(
        self,
        normalized: NormalizedExport,
        before: ShopBefore,
        reader: ProductFile,
        fallback_category: str,
        today: str,
    ) -> None:
        self._before = before
        self._fallback = fallback_category
        self._today = today
        self._not_taken = list(normalized.not_taken)
        self._left_out = list(normalized.left_out)
        self._kept: list[Omission] = []
        self._moved: list[MovedProduct] = []
        products, findings = with_skus(normalized.products, before.files)
        self._products = with_checkouts(products, before.files)
        self._not_taken += findings
        self._categories = self._slugs_of_categories()
        self._reader = reader
        self._fixed = [file for file in before.files if not file.replaceable]

    def plan(self, share: MapBatches) -> ImportPlan:
        judged = self._judged(self._dated(self._without_kept()), share)
        writes = {f"{item.product.slug}.toml": item.text for item in judged}
        there = {file.name: file for file in self._before.files}
        changed = {
            name: text for name, text in writes.items() if name not in there or there[name].text != text
        }
        self._move_away(judged)
        gone = self._gone(writes)
        arrived = {f"{item.slug}.toml" for item in self._moved}
        titles = self._titles(judged)
        new = {slug: title for slug, title in titles.items() if slug not in self._before.categories.values()}
        redirects = self._redirects(judged)
        self._not_taken += redirects.not_taken
        return ImportPlan(
            products=len(judged) + len(self._kept),
            variants=sum(len(item.product.variants) for item in judged),
            writes=changed,
            digests={name: digest(text) for name, text in writes.items()},
            new=tuple(f"site/products/{name}" for name in sorted(changed.keys() - there.keys() - arrived)),
            changed=tuple(
                ChangedFile(there[name].path, _differences(there[name].values, text))
                for name, text in changed.items()
                if name in there
            ),
            unchanged=len(writes) - len(changed),
            moved=tuple(self._moved),
            kept=tuple(self._kept),
            gone=tuple(gone),
            redirects=redirects.redirects,
            stale_redirects=redirects.stale,
            pages=frozenset(f"/products/{item.product.slug}" for item in judged),
            pictures=frozenset(picture.file for item in judged for picture in item.product.pictures),
            new_categories=tuple(new.values()),
            categories={title: slug for title, slug in self._categories.items() if slug in titles},
            site_text=_with_categories(self._before.site_text, new),
            left_out=tuple(self._left_out),
            not_taken=tuple(self._not_taken),
        )

    def _slugs_of_categories(self) -> dict[str, str]:
        known = {**self._before.record.categories, **self._before.categories}
        titles = {title for product in self._products for title in (product.category, *product.categories)}
        slugs = category_slugs({*titles, self._fallback}, known)
        count = len(set(self._before.categories.values()))
        more = sorted({slugs[title.lower()] for title in titles} - set(self._before.categories.values()))
        if count + len(more) <= CATEGORIES_MAX:
            return slugs
        refused = set(more[max(0, CATEGORIES_MAX - count - 1) :])
        for title in sorted(titles):
            if slugs[title.lower()] in refused:
                outcome = f"its products are in {self._fallback}"
                kind = f"categories beyond the {CATEGORIES_MAX} that a shop may have"
                self._not_taken.append(Omission("categories", title, outcome, kind))
        fallback = slugs[self._fallback.lower()]
        return {title: fallback if slug in refused else slug for title, slug in slugs.items()}

    def _without_kept(self) -> list[NormalizedProduct]:
        """Return the products that no file edited by hand stands for.

        Such a file is kept, and moves with it.
        """
        successor_of = successors(self._fixed, self._products)
        files = {successor_of[file.slug]: file for file in self._fixed if file.slug in successor_of}
        slugs = {file.slug for file in self._before.files}
        rest = []
        for product in self._products:
            file = files.get(product.slug)
            if file is None:
                rest.append(product)
                continue
            outcome = "edited by hand, kept as it is"
            if file.slug != product.slug:
                if file.imported and file.name.endswith(".toml") and product.slug not in slugs:
                    self._moved.append(MovedProduct(file, product.slug, kept=True))
                    outcome = f"edited by hand, kept as it is and moved to {product.slug}.toml"
                else:
                    outcome = f"holds the SKUs of {product.name}, edited by hand: kept as it is"
            kind = "files that were edited by hand, kept (--overwrite replaces them)"
            self._kept.append(Omission(file.path, product.name, outcome, kind, product.name))
        return rest

    def _judged(self, products: Sequence[NormalizedProduct], share: MapBatches) -> list[AcceptedProduct]:
        def work(part: Sequence[NormalizedProduct]) -> Judgement:
            return judge(part, self._reader, lambda title: self._categories[title.lower()])

        parts = share(work, products, "Checking products")
        for part in parts:
            self._left_out += part.left_out
            self._not_taken += part.not_taken
        return [judged for part in parts for judged in part.taken]

    def _dated(self, products: Sequence[NormalizedProduct]) -> list[NormalizedProduct]:
        """Return the products with a date, without the variants that a file edited by hand stands for."""
        held = {sku: file.path for file in self._fixed for sku in file.skus}
        dates = self._dates()
        dated = []
        for product in products:
            free = tuple(variant for variant in product.variants if variant.sku not in held)
            for variant in product.variants:
                if variant.sku in held:
                    outcome = (
                        f"left out: {held[variant.sku]}, edited by hand, has it; remove it there, "
                        "or import with --overwrite"
                    )
                    kind = "SKUs of files that were edited by hand"
                    self._lost(variant.place, f"SKU {variant.sku!r}", outcome, kind, product.name)
            if not free:
                kind = "products whose SKUs are all in files that were edited by hand"
                self._left_out.append(Omission(product.place, product.title, "left out", kind, product.name))
                continue
            keys = [("slug", product.slug), *(("sku", variant.sku) for variant in free)]
            first = min((dates[key] for key in keys if key in dates), default=self._today)
            dated.append(replace(product, variants=free, released_on=product.released_on or first))
        return dated

    def _dates(self) -> dict[tuple[str, str], str]:
        """Return the first date of each product that an import dated, by its slug and by its SKUs."""
        dates: dict[tuple[str, str], str] = {}
        for file in self._before.files:
            if file.released_on:
                for key in (("slug", file.slug), *(("sku", sku) for sku in file.skus)):
                    dates[key] = min(dates.get(key, file.released_on), file.released_on)
        return dates

    def _move_away(self, judged: Sequence[AcceptedProduct]) -> None:
        """Files whose SKUs now have another page: they go, and redirect there."""
        written = {item.product.slug for item in judged}
        sold = {variant.sku: item.product.slug for item in judged for variant in item.product.variants}
        successor_of = successors(
            [file for file in self._before.files if file.slug not in written],
            [item.product for item in judged],
        )
        for file in self._before.files:
            if not file.replaceable or file.slug in written:
                continue
            slugs = sorted({sold[sku] for sku in file.skus if sku in sold})
            if not slugs:
                continue
            heir = successor_of.get(file.slug, slugs[0])
            self._moved.append(MovedProduct(file, heir, kept=False))
            if len(slugs) > 1:
                pages = ", ".join(f"/products/{slug}" for slug in slugs)
                outcome = f"is now {pages}: its old address leads to {heir}"
                self._lost(file.path, file.slug, outcome, "products that were split", file.slug)
            for sku in sorted(set(file.skus) - sold.keys()):
                kind = "SKUs that the export no longer has, of products that were moved"
                self._lost(file.path, f"SKU {sku!r}", "no longer in the shop", kind, file.slug)

    def _gone(self, writes: Mapping[str, str]) -> list[str]:
        moved = {item.file.name for item in self._moved}
        kept = {item.place for item in self._kept}
        return [
            file.path
            for file in self._before.files
            if file.imported and file.name not in writes and file.name not in moved and file.path not in kept
        ]

    def _titles(self, judged: Sequence[AcceptedProduct]) -> dict[str, str]:
        """Return the title of each category with products, by slug.

        The first of several spellings counts, by alphabet.
        """
        titles: dict[str, str] = {}
        for element in judged:
            for title in (element.product.category, *element.product.categories):
                slug = self._categories[title.lower()]
                spelled = title if slug != self._categories[self._fallback.lower()] else self._fallback
                titles[slug] = min(titles.get(slug, spelled), spelled)
        return dict(sorted(titles.items(), key=lambda item: (item[1].casefold(), item[0])))

    def _redirects(self, judged: Sequence[AcceptedProduct]) -> RedirectPlan:
        away = {item.file.name for item in self._moved}
        pages = {f"/products/{item.product.slug}" for item in judged}
        pages |= {f"/products/{file.slug}" for file in self._before.files if file.name not in away}
        pages |= {f"/products/{item.slug}" for item in self._moved} | self._before.pages
        pages |= {f"/shop/{slug}" for slug in self._categories.values()}
        return plan_redirects(
            self._moved,
            judged,
            self._before.redirects,
            pages=pages,
            gone=gone_pages(self._before.files, self._before.record, self._moved, judged),
            roots=self._before.roots,
        )

    def _lost(self, place: str, what: str, outcome: str, kind: str, product: str) -> None:
        self._not_taken.append(Omission(place, what, outcome, kind, product))


def _with_categories(text: str, new: Mapping[str, str]) -> str:
    """Return the text of site.toml with the categories that the shop did not have."""
    if not new:
        return text
    text = text.rstrip("\n") + "\n"
    for slug, title in new.items():
        text += (
            f"\n[[categories]]\nslug = {json.dumps(slug)}\ntitle = {json.dumps(title, ensure_ascii=False)}\n"
        )
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(
            f"site/site.toml: {pluralize(len(new), 'category', 'categories')} cannot be added: {error}",
            hint="write its categories as tables [[categories]]",
        ) from error
    return text


def _differences(before: Mapping[str, Any], text: str) -> tuple[str, ...]:
    after = tomllib.loads(text)
    fields = [
        name
        for name in dict.fromkeys((*before, *after))
        if name != "variants" and before.get(name) != after.get(name)
    ]
    old, new = _by_sku(before), _by_sku(after)
    for sku in dict.fromkeys((*old, *new)):
        if sku not in new:
            fields.append(f"variant {sku} gone")
        elif sku not in old:
            fields.append(f"variant {sku} new")
        elif old[sku] != new[sku]:
            names = dict.fromkeys((*old[sku], *new[sku]))
            differing = [name for name in names if old[sku].get(name) != new[sku].get(name)]
            fields.append(f"variant {sku}: {', '.join(differing)}")
    return tuple(fields) or ("order",)


def _by_sku(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    variants = values.get("variants")
    return {
        str(variant.get("sku")): variant
        for variant in (variants if isinstance(variants, list) else ())
        if isinstance(variant, dict)
    }
