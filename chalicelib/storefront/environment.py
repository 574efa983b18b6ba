"""Jinja's environment for one edition: its language, its constants, and templates compiled once a process.

Texts, the shop's name and the addresses of assets are the same on each page of an edition. Constant folding
puts them into the templates when they are compiled; rendering computes only what differs from page to page.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import BuiltinMethodType, CodeType, FunctionType, MethodType
from typing import Any, ClassVar

from jinja2 import BytecodeCache, Environment, Template, TemplateRuntimeError, nodes
from jinja2.bccache import Bucket
from jinja2.runtime import Context, Macro
from markupsafe import Markup, escape

from chalicelib.domain.entry import OptIn
from chalicelib.domain.product import ProductCondition
from chalicelib.domain.stock import Availability
from chalicelib.storefront.compiling import ConstantFolder, PageCode, SyntaxTrees, code_of
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
            "theme": self.edition.settings,
            "Availability": Availability,
            "Condition": ProductCondition,
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
            (edition.shop, edition.root, of["menu"], of["navigation"], edition.settings),
            # Jinja writes a constant amount or day when it compiles.
            (edition.money, edition.days),
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
    # The code that each of these bytes is; reading it takes a while.
    _loaded: ClassVar[dict[bytes, CodeType]] = {}

    def __init__(self, digest: str) -> None:
        self._code = self.code.setdefault(digest, {})

    def load_bytecode(self, bucket: Bucket) -> None:
        """See `jinja2.BytecodeCache`."""
        checksum, code = self._code.get(bucket.key, ("", b""))
        if checksum != bucket.checksum:
            return
        bucket.code = self._loaded.get(code)
        if bucket.code is None:
            bucket.bytecode_from_string(code)
            if bucket.code is not None:
                self._loaded[code] = bucket.code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See `jinja2.BytecodeCache`."""
        self._code[bucket.key] = bucket.checksum, bucket.bytecode_to_string()


def escaped(value: Any) -> str:
    """Return a value as a page has it: `markupsafe.escape`, without an object around each plain text.

    A template joins the texts, so that none needs to know that it is escaped.
    """
    kind = type(value)
    if kind is Markup:
        return value  # type: ignore[no-any-return]
    if kind is str and not ("&" in value or "<" in value or ">" in value or '"' in value or "'" in value):
        return value  # type: ignore[no-any-return]
    return escape(value)


_PLAIN_KINDS = {MethodType, FunctionType, BuiltinMethodType}


class PageMacro(Macro):
    """A macro that may be called by its function, where a call has its arguments and no others."""

    def __init__(self, *args: Any) -> None:
        """Take what a compiled template passes."""
        super().__init__(*args)
        is_plain = not (self.catch_kwargs or self.catch_varargs or self.caller)
        self.function = self._func
        self.plain_count = len(self.arguments) if is_plain else None


class PageContext(Context):
    """Calls macros and plain methods at once; Jinja asks at each call whether they want the context."""

    def call(self, of: Any, *args: Any, **named: Any) -> Any:
        """See `jinja2.runtime.Context`."""
        kind = type(of)
        if kind is PageMacro:
            if named or len(args) != of.plain_count:
                return of(self.eval_ctx, *args, **named)
            text = of.function(*args)
            return Markup(text) if self.eval_ctx.autoescape else text  # noqa: S704 - a template's own work
        if kind not in _PLAIN_KINDS or hasattr(of, "jinja_pass_arg"):
            return super().call(of, *args, **named)
        return of(*args, **named)


class LocalizedEnvironment(Environment):
    """Translates `{% trans %}` and `_()` into the language of an edition, and knows its constants.

    Compiling a template folds the constants into it: they are then as cheap as the markup around them.
    """

    context_class = PageContext
    code_generator_class = PageCode
    trees: ClassVar[SyntaxTrees] = SyntaxTrees()

    def __init__(self, common: EditionContext, **options: Any) -> None:
        compiled = CompiledTemplates(common.digest)
        super().__init__(extensions=["jinja2.ext.i18n"], bytecode_cache=compiled, **options)
        # The lines of a text belong to the template.
        self.policies["ext.i18n.trimmed"] = True
        self._common = common
        self._formats = common.edition.money, common.edition.days, common.edition.shop.locale
        self._named: dict[str, Template] = {}
        self.globals.update(common.globals)
        texts = common.edition.texts
        installed: Any = self  # with what the extension adds
        installed.install_gettext_callables(texts.one, texts.of_number, newstyle=True)

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> Template:
        """See `jinja2.Environment`, whose cache has a lock: a page asks for several, and none changes."""
        if not isinstance(name, str) or globals:
            return super().get_template(name, parent, globals)
        if name not in self._named:
            self._named[name] = super().get_template(name, parent)
        return self._named[name]

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """See `jinja2.Environment`, whose chain of mappings is slow, and each page and import reads it."""
        return super().make_globals(d) if d else self.globals

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        def generate() -> str:
            source.set_environment(self)
            text = super(LocalizedEnvironment, self)._generate(source, name, filename, defer_init)
            # In the first line: the others keep their numbers, which errors are found by.
            imports, code = text.split("\n", 1)
            return f"{imports}; from {__name__} import PageMacro as Macro, escaped as escape\n{code}"

        escapes = self.autoescape(name) if callable(self.autoescape) else self.autoescape
        form = name, filename, defer_init, escapes, self.code_generator_class
        # Jinja calls filters of constants when it compiles: those of an edition depend on its formats.
        filters = frozenset(self.filters), frozenset(self.tests), self._formats
        return self.trees.python((*form, *filters), source, generate)

    def _compile(self, source: str, filename: str) -> CodeType:
        return code_of(source, filename)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        def parse() -> nodes.Template:
            return super(LocalizedEnvironment, self)._parse(source, name, filename)

        tree = self.trees.parsed((name, filename, self.trim_blocks, self.lstrip_blocks), source, parse)
        in_place = ConstantFolder(tree, self._common.edition.texts, self._common.globals, self._common.files)
        template: nodes.Template = in_place.visit(tree)
        return template
