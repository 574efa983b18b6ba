"""The reports of the merchant's page, as JSON."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Request, Response

from chalicelib.domain.ids import Sku, SkuRefused, Slug, parse_sku
from chalicelib.domain.reports import RestockReport
from chalicelib.domain.stock import StockedProduct
from chalicelib.http.request import Problem
from chalicelib.http.responses import json_answer

if TYPE_CHECKING:
    from chalicelib.storefront.theme import Shop


def reports_answer(
    reports: Sequence[RestockReport], products: Mapping[Slug, StockedProduct], shop: "Shop"
) -> Response:
    """Return reports with the names of their products; `products` are those that the shop still has."""
    return json_answer(
        {
            "opened": "not measured",
            "counts_clicks": shop.count_clicks,
            "currency": shop.currency,
            "restocks": [
                {**report.to_document(), **_names(products.get(report.restock.slug), report.restock.sku)}
                for report in reports
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
