"""The old addresses of an import: decide which of them redirect, and name the others.

The build refuses a redirect from an address that has a page, and an address that is given twice.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from spillway.importing.imported import Omission
from spillway.importing.judging import AcceptedProduct, stale_redirects
from spillway.importing.shop_files import MovedProduct
from spillway.sitegen.addresses import page_at
from spillway.sitegen.reading.redirects import (
    Redirect,
    decoded_source,
    encoded_target,
    merged_redirects,
    page_of,
    source_problem,
)


@dataclass(frozen=True, slots=True)
class RedirectPlan:
    """The redirects of an import.

    Attributes:
        redirects: Lines that site/redirects.toml has after the import: the target of each source.
        stale: Lines whose page is gone, which are removed, with that page.
        not_taken: A line for each old address that cannot redirect.
    """

    redirects: Mapping[str, str]
    stale: Mapping[str, str]
    not_taken: tuple[Omission, ...]


def plan_redirects(
    moved: Sequence[MovedProduct],
    judged: Sequence[AcceptedProduct],
    there: Sequence[Redirect],
    *,
    pages: Set[str],
    gone: Set[str],
    roots: Iterable[str],
) -> RedirectPlan:
    """Decide which old addresses redirect: of files that moved, and of products in the other shop.

    Args:
        moved: The files that other pages take over.
        judged: The products that the import writes.
        there: The lines of site/redirects.toml.
        pages: The paths of the shop's products, categories, pages of words and root files after the import.
        gone: The paths of the pages that the import takes away.
        roots: The roots of the shop's further editions.

    Raises:
        BadInput: there would be too many redirects.
    """
    planning = _Planning(pages, tuple(roots))
    wanted = planning.wanted(moved, judged)
    new = {decoded_source(source): target for source, target in wanted.items()}
    stale = stale_redirects(there, new, gone)
    removed = stale.keys() | {f"/products/{item.product.slug}" for item in judged}
    kept = [redirect for redirect in there if redirect.source not in removed]
    refused = merged_redirects(kept, wanted).refused
    ends = {redirect.source: redirect.target for redirect in kept}
    for source, reason in refused.items():
        if _end(decoded_source(source), {**new, **ends}) != encoded_target(wanted[source]):
            planning.lost(source, reason, "old addresses that redirect elsewhere already")
    redirects = {source: target for source, target in wanted.items() if source not in refused}
    return RedirectPlan(redirects, stale, tuple(planning.not_taken))


def _end(source: str, targets: Mapping[str, str]) -> str:
    """Return the encoded path that a shopper ends at who follows `targets` from a decoded path."""
    here, seen = source, {source}
    target = ""
    while here in targets:
        target = encoded_target(targets[here])
        here = page_of(target)
        if here in seen:
            break
        seen.add(here)
    return target


class _Planning:
    def __init__(self, pages: Set[str], roots: tuple[str, ...]) -> None:
        self._pages = pages
        self._roots = roots
        self.not_taken: list[Omission] = []

    def wanted(self, moved: Sequence[MovedProduct], judged: Sequence[AcceptedProduct]) -> dict[str, str]:
        """Return the target of each old address that no page has and one product has alone.

        An address is written as the export first spells it.
        """
        found: dict[str, tuple[str, str]] = {}
        for item in moved:
            path = f"/products/{item.file.slug}"
            if path not in self._pages:
                found[path] = path, f"/products/{item.slug}"
        for path, (written, targets) in sorted(self._claimed(judged).items()):
            target = min(targets)
            if page := page_at(path, self._pages, self._roots):
                if targets != {page}:
                    outcome = f"no redirect to {target}: the shop has a page or a file there"
                    self.lost(written, outcome, "old addresses that the shop itself uses")
            elif len(targets) > 1:
                outcome = f"leads nowhere: {', '.join(sorted(targets))} have it"
                self.lost(written, outcome, "old addresses of several products")
            elif path not in found:
                found[path] = written, target
            elif found[path][1] != target:
                outcome = f"no redirect to {target}: it leads to {found[path][1]}"
                self.lost(written, outcome, "old addresses of several products")
        return dict(found.values())

    def _claimed(self, judged: Sequence[AcceptedProduct]) -> dict[str, tuple[str, set[str]]]:
        """Return each old address, decoded, with its spelling and the products that have it."""
        claimed: dict[str, tuple[str, set[str]]] = {}
        for path, target in sorted(
            (path, f"/products/{item.product.slug}") for item in judged for path in item.product.old_paths
        ):
            decoded = decoded_source(path)
            problem = source_problem(path)
            if problem and not page_at(decoded, self._pages, self._roots):
                kind = "old addresses that no redirect can lead from"
                self.lost(path, f"expected {problem}", kind)
            else:
                claimed.setdefault(decoded, (path, set()))[1].add(target)
        return claimed

    def lost(self, path: str, outcome: str, kind: str) -> None:
        """Add a line about an old address."""
        self.not_taken.append(Omission("old addresses", path, outcome, kind))
