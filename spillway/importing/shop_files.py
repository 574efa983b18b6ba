"""The shop before an import: its product files, the record of earlier imports, and who has which SKU.

An SKU that several variants of an export have belongs to the variant that the shop already sells under it,
because shoppers may wait for that one. Without such a variant it belongs to none of them.
"""

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import rtoml

from chalicelib.domain.ids import Sku, Slug
from spillway.errors import BadInput
from spillway.importing.imported import Omission
from spillway.importing.names import Options, derived_skus
from spillway.importing.normalize import NormalizedProduct, NormalizedVariant
from spillway.importing.picture_finder import PictureRecord
from spillway.project import IMPORT_RECORD, Project
from spillway.sitegen.reading.markdown import FrontMatter
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.product_sheet import SHEET_FILE, read_sheet

_CHECKOUT_LINE = re.compile(r"^[ \t]*(?:variant_id|checkout_url)[ \t]*=.*\n?", re.MULTILINE)


@dataclass(slots=True)
class ImportRecord:
    """The record of files that imports wrote.

    Attributes:
        files: The digest of each product file as an import last wrote it, by the file's name.
        pending: The digests of files that an import was about to write; left over when it was interrupted.
        pictures: The record of each picture that an import put into site/pictures.
        categories: The slug of each category of an export, by its title in lower case.
    """

    files: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, PictureRecord] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "ImportRecord":
        """Return the record in `folder`; an empty one where there is none.

        Raises:
            BadInput: it cannot be read. Without it, every product would count as edited by hand for ever.
        """
        try:
            content = json.loads((folder / IMPORT_RECORD).read_text(encoding="utf-8"))
            return cls(
                files=dict(content.get("files", {})),
                pending=dict(content.get("pending", {})),
                pictures={
                    name: PictureRecord(**picture) for name, picture in content.get("pictures", {}).items()
                },
                categories=dict(content.get("categories", {})),
            )
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(
                f"site/products/{IMPORT_RECORD}: no record of an import: {error}",
                hint="restore it from a backup or from git; without the file, an import keeps every product "
                "that is there as edited by hand",
            ) from error

    def text(self) -> str:
        """Return the record as a file."""
        content = {
            "files": self.files,
            **({"pending": self.pending} if self.pending else {}),
            "pictures": {
                name: {"sha256": picture.sha256, "url": picture.url}
                for name, picture in self.pictures.items()
            },
            "categories": self.categories,
        }
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class ShopFile:
    """A product as the shop holds it.

    Attributes:
        name: The name of its file in site/products, or "products.csv".
        slug: The slug of its page.
        skus: The options of each variant, by SKU.
        values: The values of the file; empty where it cannot be read.
        released_on: The date in it; empty without one.
        imported: True where the record has the file.
        replaceable: True where it is as an import wrote it, or `--overwrite` is given.
    """

    name: str
    slug: Slug
    text: str
    skus: Mapping[Sku, Options]
    values: Mapping[str, Any]
    released_on: str
    imported: bool
    replaceable: bool

    @property
    def path(self) -> str:
        """From the project's root."""
        return SHEET_FILE if self.name == "products.csv" else f"site/products/{self.name}"


@dataclass(frozen=True, slots=True)
class MovedProduct:
    """A product of the shop that another page has now.

    `kept` says that its file was edited by hand, and moves as it is.
    """

    file: ShopFile
    slug: Slug
    kept: bool


def read_shop_files(
    project: Project, record: ImportRecord, reader: ProductFile, *, overwrite: bool
) -> tuple[ShopFile, ...]:
    """Return every product that the shop holds, in files and in its sheet, by the names of files.

    Args:
        project: the shop's.
        record: what imports wrote.
        reader: reads the files that are not plain TOML.
        overwrite: count a file that was edited by hand as replaceable.
    """
    return (*_files(project.site / "products", record, overwrite=overwrite), *_sheet(project, reader))


def digest(text: str) -> str:
    """Return the digest of a file's text, as the record has it.

    Lines about the checkout do not count: few exports state them, so adding one is not an edit.
    """
    return _sha256(_CHECKOUT_LINE.sub("", text))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path, record: ImportRecord, *, overwrite: bool) -> Iterator[ShopFile]:
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix not in {".toml", ".md"} or file.name.startswith("."):
            continue
        text = _text_of(file)
        known = {record.files.get(file.name), record.pending.get(file.name)}
        values = _values(text, file.name)
        yield ShopFile(
            name=file.name,
            slug=Slug(file.stem),
            text=text,
            skus=dict(_skus(values)),
            values=values,
            released_on=str(values.get("released_on", "")),
            imported=known != {None},
            # A file in Markdown is never an import's: one of its name in TOML would be a second product.
            # A record of before has the digest of the whole text.
            replaceable=file.suffix == ".toml" and (overwrite or bool({digest(text), _sha256(text)} & known)),
        )


def _sheet(project: Project, reader: ProductFile) -> Iterator[ShopFile]:
    file = project.root / SHEET_FILE
    if not file.is_file():
        return
    for row in read_sheet(_text_of(file), reader, mistakes=[]):
        skus: dict[Sku, Options] = dict.fromkeys(row.skus, ())
        yield ShopFile(
            "products.csv", row.slug, "", skus, {}, row.released_on or "", imported=False, replaceable=False
        )


def _text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n")


def _values(text: str, name: str) -> dict[str, Any]:
    if name.endswith(".md"):
        parted = FrontMatter.of(text, file=name, mistakes=[])
        if parted is None:
            return {}
        text = parted.front
    try:
        return rtoml.loads(text)
    except ValueError:
        pass
    try:
        return tomllib.loads(text)
    except ValueError:
        return {}


def _skus(values: Mapping[str, Any]) -> Iterator[tuple[Sku, Options]]:
    for variant in _variants(values):
        options = variant.get("options")
        pairs = options.items() if isinstance(options, dict) else ()
        yield variant["sku"], tuple((str(name), str(value)) for name, value in pairs)


def _variants(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of variants that have an SKU."""
    variants = values.get("variants")
    for variant in variants if isinstance(variants, list) else ():
        if isinstance(variant, dict) and isinstance(variant.get("sku"), str):
            yield variant


_CONFLICT = "SKUs that several variants have"
_LOST = "variants whose SKU another one has, with a derived one"
_DERIVED = "variants without an SKU of their own"


def successors(files: Iterable[ShopFile], products: Sequence[NormalizedProduct]) -> dict[Slug, Slug]:
    """Return which product of the export each file of the shop is: by its slug, or by most of its SKUs.

    Returns:
        The slug of the product by that of the file; nothing for a file that no product continues, or several
        continue alike.
    """
    wanted = {product.slug for product in products}
    holders: dict[Sku, list[Slug]] = {}
    for product in products:
        for sku in {variant.sku for variant in product.variants if variant.sku}:
            holders.setdefault(sku, []).append(product.slug)
    found: dict[Slug, Slug] = {}
    for file in files:
        if file.slug in wanted:
            found[file.slug] = file.slug
            continue
        shares = Counter(slug for sku in file.skus for slug in holders.get(sku, ())).most_common(2)
        if shares and (len(shares) == 1 or shares[0][1] > shares[1][1]):
            found[file.slug] = shares[0][0]
    return found


def with_skus(
    products: Sequence[NormalizedProduct], files: Sequence[ShopFile]
) -> tuple[list[NormalizedProduct], list[Omission]]:
    """Give every variant an SKU that no other has.

    Returns:
        The products, and what was found: SKUs in conflict, named with every place, and derived ones.
    """
    findings: list[Omission] = []
    keepers = _keepers(products, files, findings)
    bare = [
        (product, variant)
        for product in products
        for variant in product.variants
        if not _keeps(product, variant, keepers)
    ]
    own = {variant.sku for product in products for variant in product.variants if variant.sku}
    own |= {sku for file in files if not file.imported for sku in file.skus}
    derived = derived_skus([(product.slug, variant.options) for product, variant in bare], own=own)
    made = {
        (product.slug, variant.place, variant.options): sku
        for (product, variant), sku in zip(bare, derived, strict=True)
    }
    for product, variant in bare:
        sku = made[product.slug, variant.place, variant.options]
        what = f"SKU {variant.sku!r}" if variant.sku else _label(product, variant)
        kind = _DERIVED if not variant.sku else _LOST
        findings.append(Omission(variant.place, what, f"is {sku} here", kind, product.name))
    complete = [
        replace(
            product,
            variants=tuple(
                replace(variant, sku=made.get((product.slug, variant.place, variant.options), variant.sku))
                for variant in product.variants
            ),
        )
        for product in products
    ]
    return complete, findings


def with_checkouts(
    products: Sequence[NormalizedProduct], files: Sequence[ShopFile]
) -> list[NormalizedProduct]:
    """Return the products with the ids and addresses of the checkout that the export does not state.

    They are those that a file of the shop states for the same SKU; an address of a whole product stays where
    the file has all SKUs of the product.
    """
    stated: dict[Sku, dict[str, str]] = {}
    of_products: list[tuple[Mapping[Sku, Options], str]] = []
    for file in files:
        if isinstance(url := file.values.get("checkout_url"), str):
            of_products.append((file.skus, url))
        for variant in _variants(file.values):
            known = {name: variant.get(name) for name in ("variant_id", "checkout_url")}
            stated[variant["sku"]] = {name: text for name, text in known.items() if isinstance(text, str)}
    if not of_products and not any(stated.values()):
        return list(products)

    def kept(variant: NormalizedVariant) -> NormalizedVariant:
        known = stated.get(variant.sku, {})
        return replace(
            variant,
            variant_id=variant.variant_id or known.get("variant_id", ""),
            checkout_url=variant.checkout_url or known.get("checkout_url", ""),
        )

    def url_of(product: NormalizedProduct) -> str:
        skus = {variant.sku for variant in product.variants}
        return next((url for held, url in of_products if skus <= held.keys()), "")

    return [
        replace(
            product,
            checkout_url=url_of(product),
            variants=tuple(kept(variant) for variant in product.variants),
        )
        for product in products
    ]


_Keepers = Mapping[Sku, tuple[Slug, str, Options] | None]


def _keeps(product: NormalizedProduct, variant: NormalizedVariant, keepers: _Keepers) -> bool:
    if not variant.sku:
        return False
    if variant.sku not in keepers:
        return True
    return keepers[variant.sku] == (product.slug, variant.place, variant.options)


def _keepers(
    products: Sequence[NormalizedProduct], files: Sequence[ShopFile], findings: list[Omission]
) -> _Keepers:
    """Return the variant that keeps each SKU which several have, or None for nobody."""
    claims: dict[Sku, list[tuple[NormalizedProduct, NormalizedVariant]]] = {}
    for product in products:
        for variant in product.variants:
            if variant.sku:
                claims.setdefault(variant.sku, []).append((product, variant))
    repeated = {sku: found for sku, found in claims.items() if len(found) > 1}
    if not repeated:
        return {}
    heir_of = successors(files, products)
    held = {sku: (heir_of.get(file.slug), file.skus[sku], file) for file in files for sku in file.skus}
    keepers: dict[Sku, tuple[Slug, str, Options] | None] = {}
    for sku, found in sorted(repeated.items()):
        heir, options, file = held.get(sku, (None, (), None))
        of_heir = [(product, variant) for product, variant in found if product.slug == heir]
        if len(of_heir) > 1:
            of_heir = [(product, variant) for product, variant in of_heir if variant.options == options]
        keepers[sku] = None
        outcome = "none of them has it here, as no file of the shop says which one it is"
        if len(of_heir) == 1 and file:
            product, variant = of_heir[0]
            keepers[sku] = (product.slug, variant.place, variant.options)
            outcome = f"{product.name} ({variant.place}) keeps it, as {file.path} has it already"
        where = ", ".join(sorted(f"{product.name} ({variant.place})" for product, variant in found))
        findings.append(Omission(found[0][1].place, f"SKU {sku!r} of {where}", outcome, _CONFLICT))
    return keepers


def _label(product: NormalizedProduct, variant: NormalizedVariant) -> str:
    values = " ".join(value for _, value in variant.options)
    return f"{product.slug} {values}".strip() + " without an SKU"
