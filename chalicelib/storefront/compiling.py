"""Compiles templates for the edition that renders them: constants folded in, and less code for the rest.

Jinja compiles a template to Python. A page of a product evaluates some hundreds of its expressions, so each
part of what Jinja writes for them counts: see `benchmarks build`.
"""

import pickle
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from hashlib import sha256
from types import CodeType
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst
from jinja2.visitor import NodeTransformer

from chalicelib.storefront.localization import Texts

_TEXT = {"_", "gettext"}
_MISSING = object()
# About 60 templates in some languages; one has 6 kB.
PYTHON_TEXTS_MAX = 1_000
# A percent sign of a text is written twice, as Python's formats have it.
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%(%)|(%)")


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
        self._has_plurals = "ngettext" not in own
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
            text = self._texts.one(arguments[0]) % {}
            return nodes.MarkSafeIfAutoescape(nodes.Const(text), lineno=node.lineno)
        known = self._value(node.node)
        try:
            return _constant(node, known(*arguments)) if callable(known) else node
        except Exception:  # noqa: BLE001 - rendering the page reports it, with its place
            return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - Jinja's name
        """Put the words of texts with variables among the parts of the output."""
        self.generic_visit(node)
        node.nodes = [part for child in node.nodes for part in self._words(child) or [child]]
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

    def _words(self, node: nodes.Expr) -> list[nodes.Expr] | None:
        """Return a translated text in parts, words and variables; None for what is no such text."""
        match node:
            case nodes.Call(node=nodes.Name(name=name), dyn_args=None, dyn_kwargs=None):
                translated = self._translated(
                    name, [getattr(argument, "value", None) for argument in node.args]
                )
            case _:
                return None
        if translated is None:
            return None
        variables = {variable.key: variable.value for variable in node.kwargs}
        words: list[nodes.Expr] = []
        done = 0
        for found in _PLACEHOLDER.finditer(translated):
            variable, percent, other = found.groups()
            if other or (variable and variable not in variables):
                return None  # rendering the page reports it, with its place
            words.append(_data(translated[done : found.start()] + (percent or ""), node))
            words += [variables[variable]] if variable else []
            done = found.end()
        return [*words, _data(translated[done:], node)]

    def _translated(self, name: str, arguments: Sequence[object]) -> str | None:
        """Return the text that a function of translations returns; None where that is not known."""
        match name, arguments:
            case _, [str(text)] if name in self._gettext:
                return self._texts.one(text)
            case "ngettext", [str(singular), str(plural), int(number)] if self._has_plurals:
                return self._texts.of_number(singular, plural, number)
        return None

    def _value(self, node: nodes.Node) -> Any:
        """Return the known value of a name, or of an attribute of one; None without one."""
        if isinstance(node, nodes.Getattr):
            return getattr(self._value(node.node), node.attr, None)
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


def _data(text: str, node: nodes.Node) -> nodes.TemplateData:
    return nodes.TemplateData(text, lineno=node.lineno)


def _copy(node: nodes.Node) -> nodes.Node:
    # A node knows its environment, which is not part of it.
    return deepcopy(node, {id(node.environment): node.environment})


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)


class SyntaxTrees:
    """Keeps what takes longest in compiling a template: its tree as parsed, and the text of its folded tree.

    The editions of a theme share each parsed tree; for most templates two shops share the text, too. Trees
    here have no environment: set one before anything but folding.
    """

    def __init__(self) -> None:
        self._parsed: dict[Hashable, tuple[str, bytes]] = {}
        self._python: dict[Hashable, str] = {}

    def parsed(self, form: Hashable, source: str, parse: Callable[[], nodes.Template]) -> nodes.Template:
        """Return a copy of the tree of a source.

        Args:
            form: All else that the tree depends on; the newest source of each form is kept.
            source: The text of the template.
            parse: Makes the tree.
        """
        known, pickled = self._parsed.get(form, (None, b""))
        if known != source:
            tree = parse()
            none: Any = None  # a pickle cannot hold an environment
            tree.set_environment(none)
            pickled = pickle.dumps(tree, pickle.HIGHEST_PROTOCOL)
            self._parsed[form] = source, pickled
        # Also the first time: an equal tree is pickled to other bytes if its parts share other objects.
        copy: nodes.Template = pickle.loads(pickled)  # noqa: S301 - written by this process
        return copy

    def python(self, form: Hashable, tree: nodes.Template, generate: Callable[[], str]) -> str:
        """Return the Python text of a folded tree.

        Args:
            form: All else that the text depends on.
            tree: The tree.
            generate: Makes the text.
        """
        key = form, sha256(pickle.dumps(tree, pickle.HIGHEST_PROTOCOL)).digest()
        if key not in self._python:
            if len(self._python) >= PYTHON_TEXTS_MAX:
                self._python.clear()
            self._python[key] = generate()
        return self._python[key]


@lru_cache(maxsize=PYTHON_TEXTS_MAX)
def code_of(python: str, filename: str) -> CodeType:
    """Return the code of a template's Python text."""
    return compile(python, filename, "exec")


class PageCode(CodeGenerator):
    """Writes the same code as Jinja, but for attributes, calls and neighbouring outputs.

    An attribute is read at once, and by `Environment.getattr` where there is none. No call passes the
    variables of its loop and block: only a function that asks for the context could read them, and those of
    a theme, which translate, read none.
    """

    @optimizeconst
    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        """See `jinja2.Environment.getattr`, which finds items of mappings, and says what is missing."""
        holder, found = self.temporary_identifier(), self.temporary_identifier()
        self.write(f"({found} if ({found} := getattr(({holder} := ")
        self.visit(node.node, frame)
        name = repr(node.attr)
        self.write(f"), {name}, missing)) is not missing else environment.getattr({holder}, {name}))")

    @optimizeconst
    def visit_Call(  # noqa: N802 - Jinja's name
        self, node: nodes.Call, frame: Frame, forward_caller: bool = False
    ) -> None:
        """See `PageContext.call`."""
        self.write("context.call(")
        self.visit(node.node, frame)
        self.signature(node, frame, {"caller": "caller"} if forward_caller else None)
        self.write(")")

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: Frame) -> None:
        """See Jinja's; outputs that follow each other are written as one."""
        super().blockvisit(_joined(nodes), frame)


def _joined(statements: Iterable[nodes.Node]) -> list[nodes.Node]:
    joined: list[nodes.Node] = []
    for statement in statements:
        before = joined[-1] if joined else None
        if isinstance(statement, nodes.Output) and isinstance(before, nodes.Output):
            joined[-1] = nodes.Output([*before.nodes, *statement.nodes], lineno=before.lineno)
        else:
            joined.append(statement)
    return joined
