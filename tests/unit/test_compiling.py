"""A compiled template gives the same page as Jinja's own code."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import (
    DictLoader,
    Environment,
    StrictUndefined,
    TemplateRuntimeError,
    UndefinedError,
    nodes,
    pass_context,
)
from jinja2.compiler import CodeGenerator
from jinja2.runtime import Context
from markupsafe import Markup, escape

from chalicelib.domain.stock import Availability
from chalicelib.storefront.compiling import ConstantFolder, SyntaxTrees
from chalicelib.storefront.environment import (
    CompiledTemplates,
    EditionContext,
    LocalizedEnvironment,
    escaped,
)
from chalicelib.storefront.localization import DayFormat, Texts
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import MenuLink, ReturnBy, ReturnPolicy, Theme
from tests.unit.test_renderer_pages import JACKET, ONE_SCARF, shelf_of, stock, theme

LINKS = (MenuLink("About", "/about"), MenuLink("Privacy", "/privacy"))


def common() -> EditionContext:
    edition = replace(theme().editions[0], navigation=LINKS)
    return EditionContext(replace(theme(), editions=(edition,)), edition)


def templates(source: str) -> LocalizedEnvironment:
    """The templates of a theme whose page is `source`."""
    loader = DictLoader({"page.html": source, "static/shop.css": "read in vain"})
    return LocalizedEnvironment(common(), loader=loader, undefined=StrictUndefined, autoescape=True)


def tree_of(source: str) -> nodes.Template:
    """The source of a template after folding."""
    environment = templates(source)
    tree = environment.parse(source)
    left: nodes.Template = ConstantFolder(
        tree, common().edition.texts, common().globals, common().files
    ).visit(tree)
    return left


def said_by(source: str) -> str:
    return templates(source).get_template("page.html").render()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ shop.name }}", "Heron &amp; Daughters"),
        ('{{ path_for("/") }} {{ path_for("/privacy") }}', "/ /privacy"),
        ('{{ asset("shop.js") }}', "/assets/shop.js"),
        ('{{ _("Home") }}', "Home"),
        ("{% if shop.opt_in == OptIn.DOUBLE %}twice{% endif %}", "twice"),
        ("{% for item in navigation %}{{ path_for(item.path) }} {{ item.title }} {% endfor %}", None),
        ('{% include "static/shop.css" %}', "p::after{content:'<' \"&\"}"),
        ('{% filter upper %}{% include "static/shop.css" %}{% endfilter %}', "P::AFTER{CONTENT:'<' \"&\"}"),
    ],
)
def test_values_that_are_constant_for_an_edition_are_folded(source: str, said: str | None) -> None:
    tree = tree_of(source)

    assert not list(tree.find_all((nodes.Name, nodes.Include, nodes.For, nodes.FilterBlock)))
    assert said_by(source) == (said or "/about About /privacy Privacy ")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{% set shop = {"name": "mine"} %}{{ shop.name }}', "mine"),
        ('{% for _ in "ab" %}{{ _ }}{% endfor %}', "ab"),
        ("{% macro of(path_for) %}{{ path_for(1)|list }}{% endmacro %}{{ of(range) }}", "[0]"),
        ("{% for item in navigation %}{{ loop.index }}{{ item.title }} {% endfor %}", "1About 2Privacy "),
        ("{% for item in navigation %}{{ item|attr('title') }} {% endfor %}", "About Privacy "),
        ("{% for item in navigation if item.path == '/about' %}{{ item.title }}{% endfor %}", "About"),
        ("{% for item in [1] %}{{ item }}{% else %}none{% endfor %}", "1"),
        (
            "{% for item in navigation %}{% for item in [item] %}{{ item.title }} {% endfor %}{% endfor %}",
            "About Privacy ",
        ),
        ("{% for item in navigation %}{% set last = item.title %}{{ last }} {% endfor %}", "About Privacy "),
    ],
)
def test_a_template_keeps_what_it_means_itself(source: str, said: str) -> None:
    assert said_by(source) == said


def test_a_variable_set_in_a_loop_is_not_visible_after_it() -> None:
    source = "{% set last = 0 %}{% for item in navigation %}{% set last = item.title %}{% endfor %}{{ last }}"

    assert said_by(source) == "0"


def test_a_missing_asset_is_reported_with_its_line() -> None:
    with pytest.raises(TemplateRuntimeError, match=r"no asset is named shpo\.js") as caught:
        said_by("\n\n{{ asset('shpo.js') }}")

    assert ("<template>", 3) in [(str(item.path), item.lineno + 1) for item in caught.traceback]


def test_a_style_sheet_is_no_template() -> None:
    sheet = "@media print{#menu{display:none}}\n"
    other = replace(theme(), templates={**theme().templates, "static/shop.css": sheet})

    assert f"<style>{sheet.rstrip()}</style>" in Renderer(other).page("waitlist-thanks.html")


def pages() -> list[str]:
    renderer = Renderer(Theme.from_json(replace(theme(), editions=common().theme.editions).to_json()))
    some = stock(FJ_S=Availability.IN_STOCK, FJ_M=Availability.DISCONTINUED)
    return [
        renderer.product(JACKET, {}),
        renderer.product(JACKET, some),
        renderer.product(ONE_SCARF, {}),
        shelf_of(renderer, (JACKET, some), (ONE_SCARF, {})),
        renderer.page("waitlist-thanks.html"),
        renderer.page("link-problem.html"),
    ]


def test_pages_say_the_same_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = pages()
    monkeypatch.setattr(CompiledTemplates, "code", {})
    monkeypatch.setattr(ConstantFolder, "visit", lambda self, node: node)
    monkeypatch.setattr(LocalizedEnvironment, "code_generator_class", CodeGenerator)
    monkeypatch.setattr(LocalizedEnvironment, "context_class", Context)

    assert pages() == quick


GERMAN = {
    "From %(price)s": ("Ab %(price)s, 100%%",),
    "Odd": ("50% %(price)s",),
    "Other": ("%(cost)s",),
    "In %(days)s day": ("In %(days)s Tag", "In %(days)s Tagen"),
}
DAYS = "{%% trans days=%s %%}In {{ days }} day{%% pluralize %%}In {{ days }} days{%% endtrans %%}"


@pytest.mark.parametrize("is_escaped", [True, False])
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% trans price=price %}From {{ price }}{% endtrans %}!", "Ab <2>, 100%!"),
        ("{{ _('From %(price)s', price=price) }}", "Ab <2>, 100%"),
        ("{% set said = _('From %(price)s', price=price) %}{{ said }}", "Ab <2>, 100%"),
        ("{{ _('No %(price)s', price=price) }}", "No <2>"),
        (DAYS % 1, "In 1 Tag"),
        (DAYS % 30, "In 30 Tagen"),
        (DAYS % "shop.returns.days", "In 14 Tagen"),
    ],
)
def test_a_text_with_a_variable_is_translated_when_it_is_compiled(
    source: str, said: str, is_escaped: bool
) -> None:
    # Compiled templates are kept by their source.
    environment = german(f"{source}{{# {is_escaped} #}}", autoescape=is_escaped)

    assert environment.get_template("page.html").render(price="<2>") == (
        said.replace("<2>", "&lt;2&gt;") if is_escaped else said
    )
    if "{% set" not in source:
        assert not list(environment.parse(source).find_all(nodes.Call))


@pytest.mark.parametrize(("text", "error"), [("Odd", ValueError), ("Other", KeyError)])
def test_a_translation_that_cannot_be_filled_in_is_reported_with_its_line(
    text: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        german(f"\n{{{{ _('{text}', price=1) }}}}").get_template("page.html").render()

    assert ("<template>", 2) in [(str(item.path), item.lineno + 1) for item in caught.traceback]


def german(source: str, **options: bool) -> LocalizedEnvironment:
    returns = ReturnPolicy("DE", 14, is_free=True, by=ReturnBy.MAIL)
    known = common().edition
    edition = replace(known, texts=Texts(GERMAN), shop=replace(known.shop, returns=returns))
    context = EditionContext(common().theme, edition)
    options = {"autoescape": True, **options}
    return LocalizedEnvironment(context, loader=DictLoader({"page.html": source}), **options)


class Shelf:
    """A thing with attributes and items, one of which has the name of an attribute."""

    name = "attribute"

    def __getitem__(self, key: str) -> str:
        return {"name": "item", "height": "an item", "width": "wide"}[key]

    @property
    def width(self) -> str:
        raise AttributeError


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ shelf.name }}, {{ shelf.height }}, {{ shelf.width }}", "attribute, an item, wide"),
        ("{{ {'a': {'b': 2}}.a.b }}", "2"),
        ("{{ shelf.depth is defined }}", "False"),
        ("{% for item in [shelf] if item.name %}{{ loop.index }}{{ item.height }}{% endfor %}", "1an item"),
    ],
)
def test_an_attribute_is_that_or_the_item_of_its_name(source: str, said: str) -> None:
    assert templates(source).get_template("page.html").render(shelf=Shelf()) == said


@pytest.mark.parametrize("source", ["{{ shelf.depth }}", "{{ other.name }}", "{{ shelf.depth.name }}"])
def test_an_attribute_that_is_missing_is_reported_with_its_line(source: str) -> None:
    with pytest.raises(UndefinedError, match=r"no attribute 'depth'|'other' is undefined") as caught:
        templates(f"\n\n{source}").get_template("page.html").render(shelf=Shelf())

    assert ("<template>", 3) in [(str(item.path), item.lineno + 1) for item in caught.traceback]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("of(1)", "1-&lt;"),
        ("of(1, 2)", "1-2"),
        ("of(b=1, a=2)", "2-1"),
        ("of(*[1, 2])", "1-2"),
        ("all(1, 2, c=3)", "1(2,)c"),
    ],
)
def test_a_macro_takes_arguments_as_jinja_s_does(call: str, said: str) -> None:
    source = (
        "{% macro of(a, b='<') %}{{ a }}-{{ b }}{% endmacro %}"
        "{% macro all(a) %}{{ a }}{{ varargs }}{{ kwargs|join }}{% endmacro %}"
    )

    assert said_by(f"{source}{{{{ {call} }}}}") == said


def test_a_macro_of_the_wrong_arguments_is_refused() -> None:
    with pytest.raises(TypeError, match="takes not more than 1 argument"):
        said_by("{% macro of(a) %}{{ a }}{% endmacro %}{{ of(1, 2) }}")


def test_a_macro_may_be_called_with_a_block() -> None:
    source = "{% macro of(a) %}<{{ a }}>{{ caller() }}{% endmacro %}"

    assert said_by(f"{source}{{% call of('b') %}}{{% if true %}}c{{% endif %}}&{{% endcall %}}") == "<b>c&"


def test_a_constant_is_written_in_the_formats_of_each_edition() -> None:
    edition = common().edition
    german = replace(
        edition,
        money=replace(edition.money, prefix="", suffix=" €", decimal_sign=",", group_sign="."),
        days=DayFormat("{day}. {month} {year}", tuple("JFMAMJJASOND")),
        shop=replace(edition.shop, locale="de-DE"),
    )
    page = '{{ 148000 | money }} {{ "2026-12-31" | day }} {{ "Size" | in_sentence }}'
    said = []
    for own in (edition, german, edition):
        themed = replace(theme(), templates={"page.html": page}, editions=(own,))
        said.append(Renderer(themed).page("page.html"))

    assert said == ["£1,480.00 2026-12-31 size", "1.480,00 € 31. D 2026 Size", "£1,480.00 2026-12-31 size"]


def test_compiled_templates_are_those_of_the_formats_of_an_edition() -> None:
    edition = common().edition
    euros = replace(edition, money=replace(edition.money, prefix="", suffix=" €"))
    dated = replace(edition, days=DayFormat("{day}. {month} {year}", tuple("JFMAMJJASOND")))
    page = '{{ 148000 | money }} {{ "2026-12-31" | day }}'
    said = []
    for own in (edition, euros, dated):
        themed = replace(theme(), templates={"page.html": page}, editions=(own,))
        said.append(Renderer(themed).page("page.html"))

    assert said == ["£1,480.00 2026-12-31", "1,480.00 € 2026-12-31", "£1,480.00 31. D 2026"]


def test_a_template_is_parsed_once_for_all_editions_and_again_when_it_changes() -> None:
    trees = SyntaxTrees()
    environment = templates("")
    parsed: list[str] = []

    def tree(source: str, form: str = "page.html") -> str:
        def parse() -> nodes.Template:
            parsed.append(source)
            return Environment._parse(environment, source, form, form)

        return repr(trees.parsed(form, source, parse))

    first, again, other = tree("{{ a }}"), tree("{{ a }}"), tree("{{ b }}")
    assert first == again != other
    assert other == tree("{{ b }}")
    assert parsed == ["{{ a }}", "{{ b }}"]
    tree("{{ b }}", "other.html")
    assert parsed == ["{{ a }}", "{{ b }}", "{{ b }}"]


def test_the_same_folded_tree_is_generated_once_and_any_difference_again() -> None:
    trees = SyntaxTrees()
    generated: list[str] = []

    def python(source: str, form: str = "html") -> str:
        def generate() -> str:
            generated.append(source)
            return f"code of {source} for {form}"

        tree = trees.parsed(source, source, lambda: Environment().parse(source))
        return trees.python(form, tree, generate)

    assert python("{{ a }}") == python("{{ a }}") == "code of {{ a }} for html"
    assert python("{{ b }}") == "code of {{ b }} for html"
    assert python("{{ a }}", "txt") == "code of {{ a }} for txt"
    assert generated == ["{{ a }}", "{{ b }}", "{{ a }}"]


@settings(max_examples=50)
@given(st.one_of(st.text(), st.text("&<>\"'ab"), st.integers(), st.none(), st.text().map(Markup)))
def test_a_value_is_escaped_as_jinja_escapes_it(value: object) -> None:
    assert escaped(value) == escape(value)


def test_a_call_in_a_template_passes_what_the_function_asks_for() -> None:
    @pass_context
    def asks(context: Context, name: str) -> object:
        return context[name]

    source = "{% macro bold(word) %}<b>{{ word }}</b>{% endmacro %}{{ bold(asks('name')) }}{{ 'a'.upper() }}"
    page = templates(source).get_template("page.html").render(asks=asks, name="A & <B>")

    assert page == "<b>A &amp; &lt;B&gt;</b>A"
