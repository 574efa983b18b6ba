"""Hooks of MkDocs: pages from the top of the checkout, and links between them and docs/."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Files at the top of the checkout that are pages of the site, too.
TOP = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
FROM_DOCS = re.compile(rf"\]\((?:\.\./)+({'|'.join(map(re.escape, TOP))})")
FROM_TOP = re.compile(r"\]\(docs/")
README = re.compile(r"\]\((?:\.\./)*README\.md\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the top of the checkout."""
    for name in TOP:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links between docs/ and the top of the checkout."""
    up = "../" * page.file.src_uri.count("/")
    if page.file.src_uri in TOP:
        return README.sub("](index.md)", FROM_TOP.sub("](", markdown))
    return FROM_DOCS.sub(rf"]({up}\1", markdown)
