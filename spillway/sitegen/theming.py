"""The theme of a release: templates and assets, and the editions that they render.

`theme_of` puts it together. `TemplateFingerprints` finds out what each template depends on, so that a page is
rendered again only when something on it changed; `load_templates` and `save_templates` take compiled
templates from one build to the next.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError, meta, nodes
from rjsmin import jsmin

from chalicelib.domain.product import Picture
from chalicelib.storefront.environment import CompiledTemplates, EditionContext
from chalicelib.storefront.sitemaps import parts_for
from chalicelib.storefront.theme import Edition, Theme, menu_of
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.cache import BuildCache, code_digest, digest_of
from spillway.sitegen.listings import listings_of, newest_first
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import Catalogue, Storefront
from spillway.sitegen.reading.slugs import safe_stem
from spillway.sitegen.release import ObjectKind, SiteObject
from spillway.sitegen.theme_files import EMAILS, STATIC, TEMPLATES, ThemeFiles
from spillway.sitegen.theme_settings import (
    ICON,
    STYLE_SHEET,
    font_name,
    icon_with_accent,
    settings_of,
    styles_of,
)

# Names of assets and pictures contain a digest of their bytes: browsers can keep them for ever.
ASSET_CACHE_CONTROL = "public, max-age=31536000, immutable"
# An SVG file of fewer bytes than the headers of a response costs less inside the page than as a file.
INLINE_BYTES_MAX = 1_000
_ASSET_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_ANY_ASSET = "*"
_SYNTAX = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])


def theme_of(
    catalogue: Catalogue,
    products: Products,
    *,
    files: ThemeFiles,
    base_url: str,
    assets: Mapping[str, SiteObject],
    hero: Picture | None,
) -> Theme:
    """Return the theme of a release, which is named later: `release` is a digest of everything.

    Args:
        catalogue: The shop.
        products: Its products.
        files: The templates and styles.
        base_url: The address the shop is built for.
        assets: The objects of the files in static/ and of the shop's fonts, by file name.
        hero: The picture of the home page.
    """
    rows = newest_first(products.rows)
    urls = {name: f"/{asset.key}" for name, asset in assets.items()}
    site = catalogue.pictures.parent
    editions = tuple(
        Edition(
            shop=replace(storefront.shop, base_url=base_url),
            money=storefront.money,
            listings=listings_of(
                storefront,
                rows,
                products,
                replace(hero, alt=storefront.home.image.alt) if hero and storefront.home.image else None,
            ),
            navigation=storefront.navigation,
            root=storefront.root,
            name=storefront.name,
            texts=storefront.texts,
            words=storefront.words,
            days=storefront.days,
            has_feed=any(row.released_on for row in rows),
            settings=settings_of(storefront.theme, site, urls),
        )
        for storefront in catalogue.storefronts
    )
    pages = len(editions) * (len(editions[0].listings) + len(products)) + len(catalogue.pages)
    templates = files.texts()
    templates[STYLE_SHEET] += styles_of(catalogue.storefront.theme, urls)
    return Theme(
        release="",
        templates=templates,
        assets={**urls, **_inlined(assets)},
        editions=editions,
        sitemap_parts=parts_for(pages),
        rules=tuple(rule.to_document() for rule in catalogue.rules),
    )


def read_assets(files: ThemeFiles, storefront: Storefront) -> dict[str, SiteObject]:
    """Return the objects of the files in static/, by file name.

    Their keys are such as "assets/shop-3fa9c1d2e0.css".

    Raises:
        BadInput: there is a file of a type that is not served.
    """
    assets = {name: _asset(file) for name, file in files.assets().items()}
    accent = storefront.theme.accent
    if accent and files.under(STATIC)[ICON].own is None:
        icon = files.default / STATIC / ICON
        assets[ICON] = _asset(icon, icon_with_accent(icon.read_bytes(), accent.light))
    return assets


def font_assets(fonts: Mapping[str, bytes]) -> dict[str, SiteObject]:
    """Return the objects of the shop's fonts by `font_name`; `fonts` are their bodies by file name."""
    return {font_name(name): _object(f"{Path(name).stem}.woff2", body) for name, body in fonts.items()}


class TemplateFingerprints:
    """Digests of what pages of one edition depend on, by template.

    A digest changes only when a template, or a setting or an asset that it names, does. Translations count as
    one: a changed text changes every page in its language.
    """

    def __init__(self, theme: Theme, edition: Edition) -> None:
        """Digest the translations, which every page depends on."""
        self._theme = theme
        self._edition = edition
        self._texts = digest_of(sorted(edition.texts.messages.items()), edition.texts.plurals)
        self.digest = cache(self._digest)

    def _digest(self, *templates: str) -> str:
        """Return the digest of what pages rendered with `templates` have in common."""
        found: dict[str, TemplateDependencies] = {}
        waiting = [*templates]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self._dependencies(name)
                waiting += [template for template in found[name].templates if template is not None]
        names = frozenset[str]().union(*(dependencies.names for dependencies in found.values()))
        assets = frozenset[str]().union(*(dependencies.assets for dependencies in found.values()))
        return digest_of(
            sorted((name, self._theme.templates.get(name)) for name in found),
            self._settings(names),
            sorted(
                (name, url)
                for name, url in self._theme.assets.items()
                if name in assets or _ANY_ASSET in assets
            ),
        )

    def _settings(self, names: frozenset[str]) -> list[object]:
        edition = self._edition
        always: list[object] = [
            edition.money,
            edition.days,
            edition.root,
            sorted(edition.words.items()),
            self._texts,
            # Each page links to itself in the other editions.
            *((other.shop.locale, other.root, other.name) for other in self._theme.editions),
            edition.has_feed,
        ]
        where_named = {"shop": edition.shop, "navigation": edition.navigation, "theme": edition.settings}
        named = [where_named[name] for name in sorted(where_named.keys() & names)]
        return always + named + ([menu_of(edition.listings)] if "menu" in names else [])

    def _dependencies(self, name: str) -> "TemplateDependencies":
        dependencies = _dependencies_of(self._theme.templates.get(name, ""))
        if None in dependencies.templates:  # chosen while rendering: any template
            return replace(dependencies, templates=frozenset(self._theme.templates))
        return dependencies


def unused_templates(files: ThemeFiles, texts: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each template of the shop's own that nothing uses: its name may be a slip.

    Args:
        files: the files of the shop's theme.
        texts: its templates, by name.
    """
    mine = {**files.under(TEMPLATES), **{file.name: file for file in files.under(EMAILS).values()}}
    added = {name: file for name, file in mine.items() if file.default is None}
    if not added:
        return
    # Code and other templates ask for each one of the default theme.
    used: set[str | None] = set()
    waiting: list[str | None] = [name for name in texts if name not in added]
    while waiting:
        name = waiting.pop()
        if name is None:  # chosen while rendering: any template
            return
        if name not in used:
            used.add(name)
            waiting += _dependencies_of(texts.get(name, "")).templates
    # Compared without their ends, which make any two names alike.
    known = {name.rpartition(".")[0]: file.name for name, file in mine.items() if name not in added}
    for name, file in added.items():
        if name not in used:
            near = get_close_matches(name.rpartition(".")[0], known, n=1)
            hint = f"; did you mean site/{known[near[0]]}?" if near else ""
            yield f"site/{file.name}: no page or email uses it{hint}"


@dataclass(frozen=True, slots=True)
class TemplateDependencies:
    """The names in a template; None among its templates is one that is chosen while rendering."""

    templates: frozenset[str | None]
    names: frozenset[str]
    assets: frozenset[str]


# By the template's text, for each that was parsed in this process or in an earlier build.
_dependencies_by_text: dict[str, TemplateDependencies] = {}


def load_templates(project: Project) -> BuildCache:
    """Load the compiled templates and the dependencies of earlier builds into this process."""
    saved = BuildCache(project.cache / "templates.pickle", context=code_digest())
    CompiledTemplates.code.update(saved.get("code") or {})
    _dependencies_by_text.update(saved.get("dependencies") or {})
    return saved


def save_templates(saved: BuildCache, theme: Theme) -> None:
    """Save the compiled templates and the dependencies of `theme`, which has been rendered."""
    digests = [EditionContext(theme, edition).digest for edition in theme.editions]
    saved.set("code", {digest: CompiledTemplates.code[digest] for digest in digests})
    texts = [text for text in theme.templates.values() if text in _dependencies_by_text]
    saved.set("dependencies", {text: _dependencies_by_text[text] for text in texts})
    saved.save()


def _dependencies_of(source: str) -> TemplateDependencies:
    if source not in _dependencies_by_text:
        _dependencies_by_text[source] = _parsed(source)
    return _dependencies_by_text[source]


def _parsed(source: str) -> TemplateDependencies:
    try:
        tree = _SYNTAX.parse(source)
    except TemplateSyntaxError:  # rendering names the error with its line
        return TemplateDependencies(frozenset(), frozenset(), frozenset())
    return TemplateDependencies(
        templates=frozenset(meta.find_referenced_templates(tree)),
        names=frozenset(node.name for node in tree.find_all(nodes.Name)),
        assets=frozenset(_assets_of(tree)),
    )


def _assets_of(tree: nodes.Template) -> set[str]:
    """Return the assets a template names; `_ANY_ASSET` when a name is not there as a plain text."""
    named: set[str] = set()
    plain = 0
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "asset":
            argument = call.args[0] if len(call.args) == 1 else None
            if isinstance(argument, nodes.Const) and isinstance(argument.value, str):
                named.add(argument.value)
                plain += 1
    mentions = sum(1 for node in tree.find_all(nodes.Name) if node.name == "asset")
    return named if mentions == plain else {_ANY_ASSET}


def _asset(file: Path, body: bytes | None = None) -> SiteObject:
    """Return the object of a file, with another `body` where it has one; a script without its comments."""
    suffix = file.suffix.lower()
    if suffix not in _ASSET_TYPES:
        raise BadInput(
            f"{file}: a kind of file that is not served",
            hint=f"site/static holds {', '.join(_ASSET_TYPES)}",
        )
    content = file.read_bytes() if body is None else body
    return _object(file.name, jsmin(content, keep_bang_comments=True) if suffix == ".js" else content)


def _object(name: str, body: bytes) -> SiteObject:
    suffix = Path(name).suffix.lower()
    return SiteObject.of(
        f"assets/{safe_stem(name)}-{hashlib.sha256(body).hexdigest()[:10]}{suffix}",
        body,
        content_type=_ASSET_TYPES[suffix],
        cache_control=ASSET_CACHE_CONTROL,
        kind=ObjectKind.ASSET,
    )


def _inlined(assets: Mapping[str, SiteObject]) -> dict[str, str]:
    """Return SVG files that are small enough to be part of a page, as data URLs by file name."""
    bodies = {name: asset.read() for name, asset in assets.items() if asset.key.endswith(".svg")}
    return {
        name: f"data:image/svg+xml;base64,{b64encode(body).decode()}"
        for name, body in bodies.items()
        if len(body) <= INLINE_BYTES_MAX
    }
