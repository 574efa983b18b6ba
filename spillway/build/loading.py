"""Reading the whole catalogue: all its mistakes at once, or a value without any."""

from pathlib import Path

from spillway.build.catalogue import Catalogue, CatalogueProduct, ContentPage
from spillway.build.mistakes import CatalogueInvalid, Mistake
from spillway.build.page_file import read_page
from spillway.build.product_file import ProductFiles
from spillway.build.shop_file import read_storefront
from spillway.build.slugs import slug_problem
from spillway.project import Project

_FILE_SIZE_BYTES_MAX = 1_000_000


def load_catalogue(project: Project) -> Catalogue:
    """The shop under `project.site`.

    Raises:
        CatalogueInvalid: with every mistake found.
    """
    mistakes: list[Mistake] = []
    reader = _Reader(project.root, mistakes)
    product_paths = sorted((project.site / "products").glob("*.toml"))
    page_paths = sorted((project.site / "pages").glob("*.md"))

    storefront = read_storefront(
        reader.text(project.site / "site.toml"),
        site=project.site,
        product_slugs={path.stem for path in product_paths},
        page_slugs={path.stem for path in page_paths},
        mistakes=mistakes,
    )
    files = ProductFiles(storefront, pictures=project.site / "pictures", mistakes=mistakes)
    products: list[CatalogueProduct] = []
    for path in product_paths:
        slug, text = reader.slug_and_text(path)
        product = files.read(text, slug=slug, file=reader.name(path))
        if product:
            products.append(product)
    if not product_paths:
        mistakes.append(Mistake("site/products", None, "*.toml", None, "at least one product"))
    pages: list[ContentPage] = []
    for path in page_paths:
        slug, text = reader.slug_and_text(path)
        page = read_page(text, slug=slug, file=reader.name(path), mistakes=mistakes)
        if page:
            pages.append(page)

    if mistakes or storefront is None:
        raise CatalogueInvalid(mistakes)
    return Catalogue(storefront, tuple(products), tuple(pages))


class _Reader:
    """Files of the catalogue as text. What cannot be read is noted and answered with no text at all."""

    def __init__(self, root: Path, mistakes: list[Mistake]) -> None:
        self._root = root
        self._mistakes = mistakes

    def name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def text(self, path: Path) -> str | None:
        try:
            size_bytes = path.stat().st_size
            if size_bytes <= _FILE_SIZE_BYTES_MAX:
                return path.read_text(encoding="utf-8-sig")
            reason = f"{size_bytes} bytes"
        except (OSError, UnicodeDecodeError) as error:
            reason = str(error)
        expected = f"a text in UTF-8 of at most {_FILE_SIZE_BYTES_MAX} bytes"
        self._mistakes.append(Mistake(self.name(path), None, "file", reason, expected))
        return None

    def slug_and_text(self, path: Path) -> tuple[str, str | None]:
        """The slug that a file's name is, checked, and its text."""
        if problem := slug_problem(path.stem):
            self._mistakes.append(Mistake(self.name(path), None, "file name", path.stem, problem))
        return path.stem, self.text(path)
