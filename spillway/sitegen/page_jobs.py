"""What a page of the theme depends on: the templates it is made of, and what those ask the theme for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from chalicelib.storefront.theme import Edition, Theme, menu_of
from spillway.sitegen.build_cache import digest_of
from spillway.sitegen.release import Kind


@dataclass(frozen=True, slots=True)
class PageJob:
    """A page that can be made. Equal digests make equal bytes. `file` is its name in a folder: its key, but
    where others lie under it."""

    key: str
    file: str
    kind: Kind
    content_type: str
    language: str
    digest: str
    make: Callable[[], bytes]


class TemplateFingerprints:
    """Digests of one edition of a theme by template. A page's changes when something it is made from does,
    and only then; any text of a catalogue counts as part of every page in its language."""

    def __init__(self, theme: Theme, edition: Edition) -> None:
        self._theme = theme
        self._edition = edition
        self._texts = digest_of(sorted(edition.texts.messages.items()), edition.texts.plurals)
        self.digest = cache(self._digest)

    def _digest(self, *templates: str) -> str:
        """A digest of all that pages made with `templates` have in common."""
        seen: dict[str, TemplateDependencies] = {}
        waiting = [*templates]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen[name] = self._uses(name)
                waiting += [each for each in seen[name].templates if each is not None]
        names = frozenset[str]().union(*(each.names for each in seen.values()))
        assets = frozenset[str]().union(*(each.assets for each in seen.values()))
        return digest_of(
            sorted((name, self._theme.templates.get(name)) for name in seen),
            self._settings(names),
            sorted(
                (name, url)
                for name, url in self._theme.assets.items()
                if name in assets or _ANY_ASSET in assets
            ),
        )

    def _settings(self, names: frozenset[str]) -> list[object]:
        edition = self._edition
        settings = {"shop": edition.shop, "navigation": edition.navigation}
        known: list[object] = [
            edition.money,
            edition.days,
            edition.root,
            sorted(edition.words.items()),
            self._texts,
        ]
        # What links to a page's other editions, and from them.
        known += [(each.shop.locale, each.root, each.name) for each in self._theme.editions]
        known.append(edition.has_feed)
        known += [settings[name] for name in sorted(settings.keys() & names)]
        return known + ([menu_of(edition.listings)] if "menu" in names else [])

    def _uses(self, name: str) -> "TemplateDependencies":
        uses = _uses_of(self._theme.templates.get(name, ""))
        if None in uses.templates:  # one is chosen while rendering: it may be any
            return replace(uses, templates=frozenset(self._theme.templates))
        return uses


@dataclass(frozen=True, slots=True)
class TemplateDependencies:
    """What a template names; None among its templates is one that only rendering can tell."""

    templates: frozenset[str | None]
    names: frozenset[str]
    assets: frozenset[str]


# Those of each template's text that was parsed so far.
USES: dict[str, TemplateDependencies] = {}
_ANY_ASSET = "*"
_LANGUAGE = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])


def _uses_of(source: str) -> TemplateDependencies:
    if source not in USES:
        USES[source] = _parsed(source)
    return USES[source]


def _parsed(source: str) -> TemplateDependencies:
    try:
        tree = _LANGUAGE.parse(source)
    except TemplateSyntaxError:  # told, with its line, when it is rendered
        return TemplateDependencies(frozenset(), frozenset(), frozenset())
    return TemplateDependencies(
        templates=frozenset(meta.find_referenced_templates(tree)),
        names=frozenset(node.name for node in tree.find_all(nodes.Name)),
        assets=frozenset(_assets_of(tree)),
    )


def _assets_of(tree: nodes.Template) -> set[str]:
    """The assets a template names. One that is named in any other way than by its text may be any."""
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
