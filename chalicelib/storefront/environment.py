"""Jinja's environment for one edition: its language, its constants, and templates compiled once a process.

Texts, the shop's name and the addresses of assets are the same on each page of an edition. Constant folding
puts them into the templates when they are compiled; rendering computes only what differs from page to page.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import FunctionType, MethodType
from typing import Any, ClassVar

from jinja2 import BytecodeCache, Environment, Template, TemplateRuntimeError, nodes
from jinja2.bccache import Bucket
from jinja2.runtime import Context, Macro
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from chalicelib.domain.entry import OptIn
from chalicelib.domain.product import Condition
from chalicelib.domain.stock import Availability
from chalicelib.storefront.localization import Texts
from chalicelib.storefront.theme import Edition, ReturnBy, Theme, menu_of

_TEXT = {"_", "gettext"}
_MISSING = object()


class ConstantFolder(NodeTransformer):
    """Folds edition-wide constants into the syntax tree of one template.

    `known` are globals of the templates: values with attributes, pure functions, and sequences. `files` are
    templates without placeholders, by name. A name that the template defines itself stays.
    """

    def __init__(
        self, tree: nodes.Template, texts: Texts, known: Mapping[str, Any], files: Mapping[str, str]
    ) -> None:
        own = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
        self._texts = texts
        self._known = {name: value for name, value in known.items() if name not in own}
        self._gettext = _TEXT - own
        self._files = files

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        known = self._value(node.node)
        return _constant(node, getattr(known, node.attr, _MISSING))

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if node.kwargs or node.dyn_args or node.dyn_kwargs or not isinstance(node.node, nodes.Name):
            return node
        arguments = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        if len(arguments) != len(node.args):
            return node
        if node.node.name in self._gettext and len(arguments) == 1:
            # A percent sign of a text is written twice, as for texts with variables.
            text = self._texts.one(arguments[0]) % {}
            return nodes.MarkSafeIfAutoescape(nodes.Const(text), lineno=node.lineno)
        known = self._value(node.node)
        try:
            return _constant(node, known(*arguments)) if callable(known) else node
        except Exception:  # noqa: BLE001 - rendering the page reports it, with its place
            return node

    def visit_Include(self, node: nodes.Include) -> nodes.Node:  # noqa: N802 - Jinja's name
        text = self._files.get(node.template.value) if isinstance(node.template, nodes.Const) else None
        return node if text is None else nodes.Output([nodes.TemplateData(text)], lineno=node.lineno)

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> nodes.Node:  # noqa: N802 - Jinja's name
        """Filter a constant block once."""
        self.generic_visit(node)
        match node.body:
            case [nodes.Output(nodes=[nodes.TemplateData() as data])]:
                node.filter.node = data
                return nodes.Output([node.filter], lineno=node.lineno)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node | list[nodes.Node]:  # noqa: N802 - Jinja's name
        """Unroll a loop over known values whose body uses only their attributes."""
        known = self._value(node.iter)
        plain = not (node.else_ or node.test or node.recursive)
        # A name that a loop's body sets ends with the iteration; unrolled, it would not.
        is_pure = all(
            isinstance(statement, nodes.Output | nodes.If) for statement in node.find_all(nodes.Stmt)
        )
        if isinstance(known, tuple) and isinstance(node.target, nodes.Name) and plain and is_pure:
            iterations = [_Iteration(node.target.name, value).of(node.body) for value in known]
            if all(iteration is not None for iteration in iterations):
                return [self.visit(part) for iteration in iterations for part in iteration or ()]
        return self.generic_visit(node)

    def _value(self, node: nodes.Node) -> Any:
        return self._known.get(node.name) if isinstance(node, nodes.Name) else None


class _Iteration(NodeTransformer):
    """One iteration of a loop: its body with the attributes of `value` in the place of `name`."""

    def __init__(self, name: str, value: object) -> None:
        self._name = name
        self._value = value

    def of(self, body: list[nodes.Node]) -> list[nodes.Node] | None:
        """Return the body of this iteration; None when it uses more than attributes that are constants."""
        folded = [self.visit(_copy(part)) for part in body]
        left = {name.name for part in folded for name in _names(part)}
        return None if left & {self._name, "loop"} else folded

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if isinstance(node.node, nodes.Name) and node.node.name == self._name:
            return _constant(node, getattr(self._value, node.attr, _MISSING))
        return node


def _constant(node: nodes.Expr, value: object) -> nodes.Expr:
    """Return the value in the node's place, if a constant can hold it."""
    if isinstance(value, str):  # a member of an enumeration
        value = str(value)
    return nodes.Const(value, lineno=node.lineno) if type(value) in {str, int, bool} else node


def _copy(node: nodes.Node) -> nodes.Node:
    # A node knows its environment, which is not part of it.
    return deepcopy(node, {id(node.environment): node.environment})


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)


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
            (edition.shop, edition.root, of["menu"], of["navigation"], edition.settings),
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


class PageContext(Context):
    """Calls macros and plain methods at once; Jinja asks at each call whether they want the context."""

    def call(self, of: Any, *args: Any, **named: Any) -> Any:
        """See `jinja2.runtime.Context`."""
        kind = type(of)
        if kind is Macro:
            args = (self.eval_ctx, *args)
        elif (kind is not MethodType and kind is not FunctionType) or hasattr(of, "jinja_pass_arg"):
            return super().call(of, *args, **named)
        named.pop("_block_vars", None)
        named.pop("_loop_vars", None)
        return of(*args, **named)


class LocalizedEnvironment(Environment):
    """Translates `{% trans %}` and `_()` into the language of an edition, and knows its constants.

    Compiling a template folds the constants into it: they are then as cheap as the markup around them.
    """

    context_class = PageContext

    def __init__(self, common: EditionContext, **options: Any) -> None:
        compiled = CompiledTemplates(common.digest)
        super().__init__(extensions=["jinja2.ext.i18n"], bytecode_cache=compiled, **options)
        # The lines of a text belong to the template.
        self.policies["ext.i18n.trimmed"] = True
        self._common = common
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
        # In the first line: the others keep their numbers, which errors are found by.
        imports, code = super()._generate(source, name, filename, defer_init).split("\n", 1)
        return f"{imports}; from {__name__} import escaped as escape\n{code}"

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        in_place = ConstantFolder(tree, self._common.edition.texts, self._common.globals, self._common.files)
        template: nodes.Template = in_place.visit(tree)
        return template
