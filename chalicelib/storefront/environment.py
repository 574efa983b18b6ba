"""Jinja's environment for one edition: its language, its constants, and templates compiled once a process."""

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
class EditionContext:
    """The constants of each page of one edition of a theme."""

    theme: Theme
    edition: Edition

    @cached_property
    def globals(self) -> Mapping[str, Any]:
        """The constants, by their names in templates."""
        return {
            "shop": self.edition.shop,
            "path_for": self.edition.localized_path,
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
        """The theme's files without placeholders, by name, as an include has them."""
        of_theme = self.theme.templates.items()
        return {name: text.removesuffix("\n") for name, text in of_theme if name.startswith("static/")}

    @cached_property
    def digest(self) -> str:
        """A digest of the constants and the texts."""
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
    """Keeps the compiled code of templates, for each `digest` of an edition's constants, which the code has.

    Compiling a theme takes longer than rendering it.
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
    """Translates `{% trans %}` and `_()` into the language of an edition, and knows its constants.

    Compiling a template folds the constants into it: they are then as cheap as the markup around them.
    """

    def __init__(self, common: EditionContext, **options: Any) -> None:
        compiled = CompiledTemplates(common.digest)
        super().__init__(extensions=["jinja2.ext.i18n"], bytecode_cache=compiled, **options)
        # The lines of a text belong to the template.
        self.policies["ext.i18n.trimmed"] = True
        self._common = common
        self.globals.update(common.globals)
        texts = common.edition.texts
        installed: Any = self  # with what the extension adds
        installed.install_gettext_callables(texts.one, texts.of_number, newstyle=True)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """See `jinja2.Environment`, whose chain of mappings is slow, and each page and import reads it."""
        return super().make_globals(d) if d else self.globals

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        in_place = ConstantFolder(tree, self._common.edition.texts, self._common.globals, self._common.files)
        template: nodes.Template = in_place.visit(tree)
        return template
