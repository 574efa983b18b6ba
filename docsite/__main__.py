"""Write the reference pages: `python -m docsite`."""

from pathlib import Path

from docsite.reference import reference_pages

ROOT = Path(__file__).parents[1]


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
