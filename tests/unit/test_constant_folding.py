"""A constant folded at compile time gives the same page as the expression in the template."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import DictLoader, StrictUndefined, TemplateRuntimeError, nodes, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from chalicelib.domain.stock import Availability
from chalicelib.storefront.environment import (
    CompiledTemplates,
    ConstantFolder,
    EditionContext,
    LocalizedEnvironment,
    escaped,
)
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Link, Theme
from tests.unit.test_renderer_pages import JACKET, ONE_SCARF, shelf_of, stock, theme

LINKS = (Link("About", "/about"), Link("Privacy", "/privacy"))


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
def test_what_is_the_same_on_every_page_is_not_asked_for_again(source: str, said: str | None) -> None:
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


def test_what_is_set_in_a_loop_is_not_seen_behind_it() -> None:
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

    assert pages() == quick


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
