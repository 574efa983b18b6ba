"""Templates in one language, as Python's own code: compiled once in a process, whoever renders them."""

from typing import Any, ClassVar

from jinja2 import BytecodeCache, Environment, nodes
from jinja2.bccache import Bucket
from jinja2.visitor import NodeTransformer

from chalicelib.storefront.texts import Texts


class CompiledTemplates(BytecodeCache):
    """Keeps the code of each template as it was last, one for each language: its texts are part of the code.

    To compile a theme takes longer than to fill it in.
    """

    code: ClassVar[dict[tuple[str, str], tuple[str, bytes]]] = {}

    def __init__(self, texts: Texts) -> None:
        self._language = texts.digest

    def load_bytecode(self, bucket: Bucket) -> None:
        """See `jinja2.BytecodeCache`."""
        checksum, code = self.code.get((self._language, bucket.key), ("", b""))
        if checksum == bucket.checksum:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See `jinja2.BytecodeCache`."""
        self.code[self._language, bucket.key] = bucket.checksum, bucket.bytecode_to_string()


class SpokenTemplates(Environment):
    """Makes templates say `{% trans %}` and `_()` in the language of `texts`.

    A text without variables is put in its place when a template is compiled: it is then as cheap as the
    markup around it.
    """

    def __init__(self, texts: Texts, **options: Any) -> None:
        super().__init__(extensions=["jinja2.ext.i18n"], bytecode_cache=CompiledTemplates(texts), **options)
        # Lines of a text are the template's business.
        self.policies["ext.i18n.trimmed"] = True
        self._in_place = _InPlace(texts)
        installed: Any = self  # with what the extension adds
        installed.install_gettext_callables(texts.one, texts.of_number, newstyle=True)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template: nodes.Template = self._in_place.visit(super()._parse(source, name, filename))
        return template


class _InPlace(NodeTransformer):
    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        says = isinstance(node.node, nodes.Name) and node.node.name in {"_", "gettext"}
        if says and not node.kwargs and len(node.args) == 1 and isinstance(node.args[0], nodes.Const):
            # A percent sign of a text is written twice, as for texts with variables.
            text = self._texts.one(node.args[0].value) % {}
            return nodes.MarkSafeIfAutoescape(nodes.Const(text)).set_lineno(node.lineno)
        return node
