"""Which variant has which SKU, decided by what the export and the shop say and never by the order of rows.

An SKU that several variants of an export have belongs to the one that the shop already sells under it, for
shoppers may wait for that one. Where there is no such variant it belongs to none of them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from spillway.importing.imported import NotTaken
from spillway.importing.naming import derived_skus
from spillway.importing.normalize import TakenProduct, TakenVariant
from spillway.importing.shop_files import ShopFile

_CONFLICT = "SKUs that several variants have"
_LOST = "variants whose SKU another one has, with a derived one"
_DERIVED = "variants without an SKU of their own"


def heirs(files: Iterable[ShopFile], products: Sequence[TakenProduct]) -> dict[str, str]:
    """Which product of the export each file of the shop is now: by its slug, or else by most of its SKUs.

    Returns:
        The slug of the product by that of the file; nothing for a file that no product continues, or several
        continue alike.
    """
    wanted = {product.slug for product in products}
    holders: dict[str, list[str]] = {}
    for product in products:
        for sku in {variant.sku for variant in product.variants if variant.sku}:
            holders.setdefault(sku, []).append(product.slug)
    found: dict[str, str] = {}
    for file in files:
        if file.slug in wanted:
            found[file.slug] = file.slug
            continue
        shares = Counter(slug for sku in file.skus for slug in holders.get(sku, ())).most_common(2)
        if shares and (len(shares) == 1 or shares[0][1] > shares[1][1]):
            found[file.slug] = shares[0][0]
    return found


def with_skus(
    products: Sequence[TakenProduct], files: Sequence[ShopFile]
) -> tuple[list[TakenProduct], list[NotTaken]]:
    """Give every variant an SKU that no other has.

    Returns:
        The products, and what was found: SKUs in conflict, named with every place, and derived ones.
    """
    findings: list[NotTaken] = []
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
        findings.append(NotTaken(variant.place, what, f"is {sku} here", kind, product.name))
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


_Keepers = Mapping[str, tuple[str, str, tuple[tuple[str, str], ...]] | None]


def _keeps(product: TakenProduct, variant: TakenVariant, keepers: _Keepers) -> bool:
    if not variant.sku:
        return False
    if variant.sku not in keepers:
        return True
    return keepers[variant.sku] == (product.slug, variant.place, variant.options)


def _keepers(
    products: Sequence[TakenProduct], files: Sequence[ShopFile], findings: list[NotTaken]
) -> _Keepers:
    """Return the variant that keeps each SKU which several have, or None for nobody."""
    claims: dict[str, list[tuple[TakenProduct, TakenVariant]]] = {}
    for product in products:
        for variant in product.variants:
            if variant.sku:
                claims.setdefault(variant.sku, []).append((product, variant))
    repeated = {sku: found for sku, found in claims.items() if len(found) > 1}
    if not repeated:
        return {}
    heir_of = heirs(files, products)
    held = {sku: (heir_of.get(file.slug), file.skus[sku], file) for file in files for sku in file.skus}
    keepers: dict[str, tuple[str, str, tuple[tuple[str, str], ...]] | None] = {}
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
        findings.append(NotTaken(found[0][1].place, f"SKU {sku!r} of {where}", outcome, _CONFLICT))
    return keepers


def _label(product: TakenProduct, variant: TakenVariant) -> str:
    values = " ".join(value for _, value in variant.options)
    return f"{product.slug} {values}".strip() + " without an SKU"
