"""Templates in one language, as Python's own code: compiled once in a process, whoever renders them."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar

from jinja2 import BytecodeCache, Environment, TemplateRuntimeError, nodes
from jinja2.bccache import Bucket

from chalicelib.domain.entry import OptIn
from chalicelib.domain.product import Condition
from chalicelib.domain.stock import Availability
from chalicelib.storefront.constant_folding import ConstantFolder
from chalicelib.storefront.theme import Edition, ReturnBy, Theme, menu_of


@dataclass(frozen=True)
class Common:
    """What is the same on every page of one edition of a theme."""

    theme: Theme
    edition: Edition

    @cached_property
    def globals(self) -> Mapping[str, Any]:
        """By the names that templates have for it."""
        return {
            "shop": self.edition.shop,
            "here": self.edition.at,
            "asset": self._asset,
            "menu": menu_of(self.edition.listings),
            "navigation": self.edition.navigation,
            "has_feed": self.edition.has_feed,
            "Availability": Availability,
            "Condition": Condition,
            "OptIn": OptIn,
            "ReturnBy": ReturnBy,
        }

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Those of the theme with nothing to be filled in, by name, as an include has them."""
        of_theme = self.theme.templates.items()
        return {name: text.removesuffix("\n") for name, text in of_theme if name.startswith("static/")}

    @cached_property
    def digest(self) -> str:
        """Changes with any of it, and with the texts."""
        edition, of = self.edition, self.globals
        parts = (
            (edition.shop, edition.root, of["menu"], of["navigation"]),
            (sorted(self.theme.assets.items()), sorted(self.files.items())),
        )
        return sha256(repr((parts, edition.texts.digest)).encode("utf-8", "surrogatepass")).hexdigest()

    def _asset(self, name: str) -> str:
        try:
            return self.theme.assets[name]
        except KeyError:
            raise TemplateRuntimeError(f"no asset is named {name}") from None


class CompiledTemplates(BytecodeCache):
    """Keeps the code of each template as it was last. What is common to all pages is part of the code, so
    there is one for each `digest` of that.

    To compile a theme takes longer than to fill it in.
    """

    code: ClassVar[dict[str, dict[str, tuple[str, bytes]]]] = {}

    def __init__(self, digest: str) -> None:
        self._code = self.code.setdefault(digest, {})

    def load_bytecode(self, bucket: Bucket) -> None:
        """See `jinja2.BytecodeCache`."""
        checksum, code = self._code.get(bucket.key, ("", b""))
        if checksum == bucket.checksum:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See `jinja2.BytecodeCache`."""
        self._code[bucket.key] = bucket.checksum, bucket.bytecode_to_string()


class LocalizedEnvironment(Environment):
    """Makes templates say `{% trans %}` and `_()` in the language of an edition, and know what is `common` to
    its pages.

    What is common is put in its place when a template is compiled: it is then as cheap as the markup
    around it.
    """

    def __init__(self, common: Common, **options: Any) -> None:
        compiled = CompiledTemplates(common.digest)
        super().__init__(extensions=["jinja2.ext.i18n"], bytecode_cache=compiled, **options)
        # Lines of a text are the template's business.
        self.policies["ext.i18n.trimmed"] = True
        self._common = common
        self.globals.update(common.globals)
        texts = common.edition.texts
        installed: Any = self  # with what the extension adds
        installed.install_gettext_callables(texts.one, texts.of_number, newstyle=True)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """See `jinja2.Environment`. A chain of mappings, as that makes, is slow to ask, and every page and
        every import asks it."""
        return super().make_globals(d) if d else self.globals

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        in_place = ConstantFolder(tree, self._common.edition.texts, self._common.globals, self._common.files)
        template: nodes.Template = in_place.visit(tree)
        return template
