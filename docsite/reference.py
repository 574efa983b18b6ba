"""List the reference pages, each made from the code it describes."""

from pathlib import Path

from docsite.commands import commands_page
from docsite.events import events_page
from docsite.fields import product_page, site_page
from docsite.http_api import http_api_page
from docsite.parameters import parameters_page


def reference_pages(root: Path) -> dict[str, str]:
    """Return the text of each page of docs/reference/ by its file name.

    Args:
        root: the folder of the checkout.
    """
    return {
        "site-toml.md": site_page(root),
        "product-fields.md": product_page(root),
        "commands.md": commands_page(),
        "parameters.md": parameters_page(root),
        "http-api.md": http_api_page(root),
        "events.md": events_page(root),
    }
