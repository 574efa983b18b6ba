"""What is the same on every page of an edition, put into its templates when they are compiled: texts, the
shop's name, the addresses of assets. Filling them in then meets only what differs from page to page."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from chalicelib.storefront.localization import Texts

_TEXT = {"_", "gettext"}
_MISSING = object()


class ConstantFolder(NodeTransformer):
    """Makes of one template the same template with fewer questions in it.

    `known` are globals of the templates: values whose attributes are asked for, functions that always
    answer the same, and sequences. `files` are those without anything to fill in, by name. A name that the
    template gives a meaning of its own is left alone.
    """

    def __init__(
        self, tree: nodes.Template, texts: Texts, known: Mapping[str, Any], files: Mapping[str, str]
    ) -> None:
        own = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
        self._texts = texts
        self._known = {name: value for name, value in known.items() if name not in own}
        self._told = _TEXT - own
        self._files = files

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        known = self._value(node.node)
        return _constant(node, getattr(known, node.attr, _MISSING))

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if node.kwargs or node.dyn_args or node.dyn_kwargs or not isinstance(node.node, nodes.Name):
            return node
        arguments = [each.value for each in node.args if isinstance(each, nodes.Const)]
        if len(arguments) != len(node.args):
            return node
        if node.node.name in self._told and len(arguments) == 1:
            # A percent sign of a text is written twice, as for texts with variables.
            text = self._texts.one(arguments[0]) % {}
            return nodes.MarkSafeIfAutoescape(nodes.Const(text), lineno=node.lineno)
        known = self._value(node.node)
        try:
            return _constant(node, known(*arguments)) if callable(known) else node
        except Exception:  # noqa: BLE001 - told with its place when the page is made
            return node

    def visit_Include(self, node: nodes.Include) -> nodes.Node:  # noqa: N802 - Jinja's name
        text = self._files.get(node.template.value) if isinstance(node.template, nodes.Const) else None
        return node if text is None else nodes.Output([nodes.TemplateData(text)], lineno=node.lineno)

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> nodes.Node:  # noqa: N802 - Jinja's name
        """What is filtered and always the same is filtered once."""
        self.generic_visit(node)
        match node.body:
            case [nodes.Output(nodes=[nodes.TemplateData() as data])]:
                node.filter.node = data
                return nodes.Output([node.filter], lineno=node.lineno)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node | list[nodes.Node]:  # noqa: N802 - Jinja's name
        """A loop over known things is written out, where its body asks only for their attributes."""
        known = self._value(node.iter)
        plain = not (node.else_ or node.test or node.recursive)
        # What is set in a loop ends with its turn: written out, it would not.
        only_says = all(isinstance(each, nodes.Output | nodes.If) for each in node.find_all(nodes.Stmt))
        if isinstance(known, tuple) and isinstance(node.target, nodes.Name) and plain and only_says:
            turns = [_Turn(node.target.name, each).of(node.body) for each in known]
            if all(turn is not None for turn in turns):
                return [self.visit(each) for turn in turns for each in turn or ()]
        return self.generic_visit(node)

    def _value(self, node: nodes.Node) -> Any:
        return self._known.get(node.name) if isinstance(node, nodes.Name) else None


class _Turn(NodeTransformer):
    """One turn of a loop: its body with the attributes of `thing` in the place of `name`."""

    def __init__(self, name: str, thing: object) -> None:
        self._name = name
        self._thing = thing

    def of(self, body: list[nodes.Node]) -> list[nodes.Node] | None:
        """The body of this turn; None when it asks for more than attributes that can be written out."""
        turn = [self.visit(_copy(each)) for each in body]
        left = {name.name for each in turn for name in _names(each)}
        return None if left & {self._name, "loop"} else turn

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if isinstance(node.node, nodes.Name) and node.node.name == self._name:
            return _constant(node, getattr(self._thing, node.attr, _MISSING))
        return node


def _constant(node: nodes.Expr, value: object) -> nodes.Expr:
    """The value where the node was, if it is one that code can state."""
    if isinstance(value, str):  # a word of an enumeration
        value = str(value)
    return nodes.Const(value, lineno=node.lineno) if type(value) in {str, int, bool} else node


def _copy(node: nodes.Node) -> nodes.Node:
    # A node knows its environment, which is not part of it.
    return deepcopy(node, {id(node.environment): node.environment})


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)
