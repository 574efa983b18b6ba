"""The reports of the merchant's page, as JSON."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from chalice.app import Request, Response

from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.reports import RestockReport
from chalicelib.domain.stock import StockedProduct
from chalicelib.http.request import Problem
from chalicelib.http.responses import json_answer

if TYPE_CHECKING:
    from chalicelib.storefront.renderer import Renderer


class ReportSource(Protocol):
    """Reports on restocks, as the service does."""

    def newest(self, *, limit: int = ...) -> Sequence[RestockReport]:
        """Return the reports of the newest restocks of all SKUs."""

    def of(self, sku: Sku) -> Sequence[RestockReport]:
        """Return the reports of the restocks of a SKU."""


class Titles(Protocol):
    """Looks up products, as their table does."""

    def get_many(self, slugs: Any) -> Any:
        """Return the products that exist, by slug."""


def reports_answer(
    request: Request, reports: ReportSource, products: Titles, theme: "Callable[[], Renderer]"
) -> Response:
    """Return the reports that a request asks for.

    Raises:
        Problem: 400 the parameter `sku` is no SKU.
    """
    sku = asked_sku(request)
    found = reports.newest() if sku is None else reports.of(sku)
    shop = theme().theme.shop
    known = products.get_many(report.restock.slug for report in found)
    return json_answer(
        {
            "opened": "not measured",
            "counts_clicks": shop.count_clicks,
            "currency": shop.currency,
            "restocks": [
                {**report.to_document(), **_names(known.get(report.restock.slug), report.restock.sku)}
                for report in found
            ],
        }
    )


def asked_sku(request: Request) -> Sku | None:
    """Return the parameter `sku` of an address; None without one.

    Raises:
        Problem: 400 it is no SKU.
    """
    query: Any = request.query_params or {}
    if not query.get("sku"):
        return None
    try:
        return parse_sku(query["sku"])
    except SkuRefused as refused:
        raise Problem(HTTPStatus.BAD_REQUEST, f"sku: {refused.reason}") from None


def _names(stocked: StockedProduct | None, sku: Sku) -> dict[str, str | None]:
    """Return the title of a variant's product, and its label; None for what the shop no longer sells."""
    if stocked is None:
        return {"title": None, "label": None}
    label = stocked.product.variant(sku).label if sku in stocked.product.skus else None
    return {"title": stocked.product.title, "label": label}
