"""Write the reference pages from the code that they describe: `python -m docsite`."""

from pathlib import Path

from docsite.commands import commands_page
from docsite.events import events_page
from docsite.fields import product_page, site_page
from docsite.http_api import http_api_page
from docsite.parameters import parameters_page

ROOT = Path(__file__).parents[1]


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


def main() -> None:
    """Write each page of docs/reference/ whose text changed, and print its name."""
    for name, text in reference_pages(ROOT).items():
        page = ROOT / "docs" / "reference" / name
        page.parent.mkdir(exist_ok=True)
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
