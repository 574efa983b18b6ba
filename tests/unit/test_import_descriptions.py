"""The words of a description, its lists, tables, emphasis and links, are those that the other shop shows."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spillway.importing.description import escaped, markdown_of
from spillway.importing.html_text import bounded, html_of, line_of, sanitised, visible_words
from spillway.importing.reading import ProductLinks
from spillway.sitegen.reading.markdown import to_html


def page(body_html: str, *, link_base: str = "") -> str:
    """Return what the shop's page shows for a description, without line ends between tags."""
    return rendered(markdown_of(body_html, link_base=link_base).markdown)


def rendered(markdown: str) -> str:
    refused: list[str] = []
    markup = to_html(
        markdown, heading_level_min=3, refuse=lambda line, value, expected: refused.append(value)
    )
    assert refused == []
    return re.sub(r"\n+(?=<)|(?<=>)\n+", "", markup)


TEXT = st.text(alphabet="ab1Éß語 .,!?*_`~#-+=:;|<>[](){}\\&/'\"%\u00a0\n\u2019", min_size=1, max_size=12)
PIECES = st.one_of(
    TEXT.map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;")),
    st.sampled_from(["&amp;copy;", "1986. ", "12)", "- a", "&nbsp;", "<br>", "<br><br>", "\n", " ", "x"]),
)
BLOCK_TAGS = [
    "p",
    "div",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h5",
    "blockquote",
    "table",
    "tr",
    "td",
    "th",
    "pre",
    "dl",
]
INLINE_TAGS = ["b", "strong", "em", "i", "s", "sup", "span", "u", "code", 'a href="https://x.example/a_(b)"']
TAGS = [*BLOCK_TAGS, "dt", "dd", "tbody", "thead", *INLINE_TAGS, *INLINE_TAGS]


def element(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda tag, inner: f"<{tag}>{''.join(inner)}</{tag.partition(' ')[0]}>",
        st.sampled_from(TAGS),
        st.lists(children, max_size=4),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.recursive(PIECES, element, max_leaves=25), max_size=6).map("".join))
@example("<b>a.</b>b<i>c</i><b>d</b>")
@example("<ul>a<li><ul><li>b</li></ul></li>c<ol start=9><li>x<pre> y</pre></ol></ul>")
@example("<td>a<td>b<table><tr><td>c<table><tr><td>d")
def test_the_words_of_the_page_are_those_of_the_description_in_order(body_html: str) -> None:
    markup = rendered(markdown_of(body_html).markdown)
    assert visible_words(markup) == visible_words(sanitised(body_html))


@pytest.mark.parametrize(
    ("body_html", "shown"),
    [
        (
            '<p>Buy now!<a href="https://x.example/a">here</a></p>',
            '<p>Buy now!<a href="https://x.example/a">here</a></p>',
        ),
        (
            "<strong>strong </strong>and <em>soft</em>",
            "<p><strong>strong</strong> and <em>soft</em></p>",
        ),
        ("<p><b>Care.</b>Wash cold</p>", "<p><strong>Care</strong>.Wash cold</p>"),
        ("<b>a</b><b>b</b> <i> c </i>", "<p><strong>ab</strong> <em>c</em></p>"),
        ("<b><p>One</p><p>Two</p></b>", "<p><strong>One</strong></p><p><strong>Two</strong></p>"),
        ("<p>1986. A great year</p><p>12. March</p>", "<p>1986. A great year</p><p>12. March</p>"),
        ("<p># 5</p><p>+ 1</p><p>- 2<br>= 3<br>- 4</p>", "<p># 5</p><p>+ 1</p><p>- 2<br>= 3<br>- 4</p>"),
        ("<ul><li><p>One</p></li><li><p>Two</p></li></ul>", "<ul><li>One</li><li>Two</li></ul>"),
        ("<ul><li><div>One</div></li></ul>", "<ul><li>One</li></ul>"),
        ("<ul><li><h4>One</h4></li></ul>", "<ul><li><strong>One</strong></li></ul>"),
        (
            "<ol start=4><li>d<li>e</ol><ol><li>a</ol>",
            '<ol start="4"><li>d</li><li>e</li></ol><ol><li>a</li></ol>',
        ),
        (
            "<table><tr><td></td><th>S</th><th>M</th></tr><tr><td>Chest</td><td>90<br>91</td><td>a|b</td></tr>",
            "<table><tbody><tr><td></td><td>S</td><td>M</td></tr>"
            "<tr><td>Chest</td><td>90 91</td><td>a|b</td></tr></tbody></table>",
        ),
        (
            "<table><thead><tr><th>Size<th>Chest<tbody><tr><td>S<td>90</table>",
            "<table><thead><tr><th>Size</th><th>Chest</th></tr></thead>"
            "<tbody><tr><td>S</td><td>90</td></tr></tbody></table>",
        ),
        (
            "<table><tr><td rowspan=2>A<td colspan=2>B<tr><td>C<td>D<tr><td>E<td>F<td>G</table>",
            "<table><tbody><tr><td>A</td><td>B</td><td></td></tr><tr><td></td><td>C</td><td>D</td></tr>"
            "<tr><td>E</td><td>F</td><td>G</td></tr></tbody></table>",
        ),
        (
            "<table><tr><td>Fit<td>Slim</table>",
            "<table><tbody><tr><td>Fit</td><td>Slim</td></tr></tbody></table>",
        ),
        ("<table><tr><td><p>a</p><td>b</table>", "<p>a</p><p>b</p>"),
        ("<table><tr><td><ul><li>a</ul><td><p>b</table>", "<ul><li>a</li></ul><p>b</p>"),
        ('<a href="https://x.example/"><img src="a.jpg"></a>Words', "<p>Words</p>"),
        (
            "<dl><dt>Size</dt><dd>Big</dd><dt>Fit</dt><dd>Slim</dd></dl>",
            "<p><strong>Size</strong><br>Big</p><p><strong>Fit</strong><br>Slim</p>",
        ),
        ("<pre>a\n\n  b *c* ``` &amp;lt;</pre>", "<pre><code>a\n\n  b *c* ``` &amp;lt;</code></pre>"),
        ("<p>&amp;copy; &amp;lt;b&amp;gt; &copy;</p>", "<p>&amp;copy; &amp;lt;b&amp;gt; ©</p>"),
        ("<h2>A</h2><h4>B</h4><h1>C</h1><h6>D #</h6>", "<h3>A</h3><h4>B</h4><h3>C</h3><h4>D #</h4>"),
        ("<p>m<sup>2</sup>, H<sub>2</sub>O, Lumo<sup>TM</sup></p>", "<p>m², H₂O, Lumo™</p>"),
        ("<p>5<sup>1/2</sup>, 10<sup>1,5</sup>, 2<sup>nd</sup></p>", "<p>5¹\u2044², 10¹,⁵, 2nd</p>"),
        (
            '<p><span style="font-weight: 700">a</span> <span style="TEXT-DECORATION: line-through">b</span>'
            ' <i style="font-style:normal">c</i> <font style="font-style:italic">d</font></p>',
            "<p><strong>a</strong> <s>b</s> c <em>d</em></p>",
        ),
        (
            '<b style="font-weight:normal"><p>a <span style="font-weight:400">b</span></p><p><b>c</b></b>',
            "<p>a b</p><p><strong>c</strong></p>",
        ),
        ("<button>Buy</button><select><option>S<option>M</select>", "<p>Buy S M</p>"),
        ("<blockquote><ul><li>a</ul>b</blockquote>", "<blockquote><ul><li>a</li></ul><p>b</p></blockquote>"),
        ("<p>a<br><br>b<br/>c</p>&nbsp;<p>&nbsp;</p>", "<p>a</p><p>b<br>c</p>"),
        ("<style>p{}</style><p onclick=x>5&nbsp;kg</p><script>x</script>", "<p>5\u00a0kg</p>"),
    ],
)
def test_a_description_is_shown_as_the_other_shop_shows_it(body_html: str, shown: str) -> None:
    assert page(body_html).replace("&nbsp;", "\u00a0") == shown


def test_a_nested_list_stays_nested_from_its_tenth_item_on() -> None:
    items = "".join(f"<li>n{number}<ul><li>sub</li></ul></li>" for number in range(12))
    assert page(f"<ol>{items}</ol>") == f"<ol>{items}</ol>"


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("http://x.example/a", "http://x.example/a"),
        ("//x.example/a", "https://x.example/a"),
        ("tel:+44 20", "tel:+44%2020"),
        ("mailto:a@x.example", "mailto:a@x.example"),
        ("/pages/care", "https://old.example/pages/care"),
        ("care?a=1&amp;b=2", "https://old.example/care?a=1&amp;b=2"),
        ("https://x.example/a (b)_*c*", "https://x.example/a%20%28b%29_*c*"),
    ],
)
def test_a_safe_link_is_kept(href: str, target: str) -> None:
    shown = page(f'<a href="{href}">care</a>', link_base="https://old.example")
    assert shown == f'<p><a href="{target}">care</a></p>'


@pytest.mark.parametrize(
    ("body_html", "opening"),
    [
        ("<p>Sold as 5*10 cm pieces. Model #7 is C# compatible.</p>", None),
        ("<p>[Limited](one) edition, a_b_c &lt;3 &amp;amp; `x` \\ ~~y~~.</p>", None),
        ("<p>A <b>warm</b> <a href='https://x.example'>wool</a><br>cap.</p><p>More</p>", "A warm wool cap."),
        ("<table><tr><th>Size<th>Chest</tr><tr><td>S<td>90</tr></table><p>Warm.</p>", "Warm."),
        ("<table><tr><th>Size<th>Chest</tr><tr><td>S<td>90</tr></table>", "Size, Chest, S, 90"),
        ("<blockquote><p>Best cup ever</p><p>A. Reader</p></blockquote><p>More</p>", "Best cup ever"),
        ("<pre>abc  d\ne</pre>", "abc d e"),
        ("<h2>About</h2><p>Warm wool.</p>", "Warm wool."),
        ("<h2>About</h2>", "About"),
        ("<ul><li>A<ul><li>B:</li></ul></li><li><ol><li>C</li></ol></li></ul>", "A, B: C"),
        ("<hr>", ""),
    ],
)
def test_a_description_opens_with_its_words_as_they_are(body_html: str, opening: str | None) -> None:
    expected = " ".join(visible_words(sanitised(body_html))) if opening is None else opening
    assert markdown_of(body_html).opening == expected


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "/pages/care", "#top", "https://", "data:x", "foo:bar"]
)
@pytest.mark.parametrize("style", ["", ' style="font-weight:400"'])
def test_a_link_that_cannot_be_kept_leaves_its_words_and_is_reported(href: str, style: str) -> None:
    body = markdown_of(f'<p{style}>See <a href="{href}">care</a>.</p>')
    assert rendered(body.markdown) == "<p>See care.</p>"
    assert [outcome for _, outcome in body.lost] == ["its words are kept without the link"]


def test_a_link_to_a_product_of_the_export_leads_to_its_page_here() -> None:
    links = ProductLinks(["mug"], base="https://old.example")
    html = '<a href="/collections/all/products/Mug?x=1">mug</a> <a href="/products/cup">cup</a>'
    body = markdown_of(html, link_base=links.base, own_path=links.own_path)
    assert rendered(body.markdown) == (
        '<p><a href="/products/mug">mug</a> <a href="https://old.example/products/cup">cup</a></p>'
    )


def test_pictures_videos_and_frames_are_reported() -> None:
    body = markdown_of(
        "<p>x<img src=a><img src=b></p><iframe src=c>no frames</iframe><a href=https://x.example></a>"
    )
    assert (rendered(body.markdown), body.lost) == (
        "<p>x</p>",
        (
            ("<img> in the description (2 times)", "left out"),
            ("<iframe> in the description", "left out"),
            ("a link without words", "its words are kept without the link"),
        ),
    )


@pytest.mark.parametrize(
    "hidden",
    [
        "<div hidden>Cost <b>5</b><div>x</div></div>",
        '<span style="color:red; DISPLAY : none">Cost <b>5</b><span>x</span></span>',
        "<p style='visibility:hidden'>Cost 5<br>x",
    ],
)
def test_text_that_the_other_shop_hides_is_left_out_and_reported(hidden: str) -> None:
    body = markdown_of(f"<p>Not hidden</p>{hidden}<p>End</p>")
    assert rendered(body.markdown).replace("\n", "") == "<p>Not hidden</p><p>End</p>"
    assert body.lost == (("hidden text 'Cost 5 x'", "left out"),)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<![CDATA[<p>Soft</p>]]>", "<p>Soft</p>"),
        ("One\r\ntwo\r\n\r\nThree", "<p>One<br>two</p><p>Three</p>"),
        ("Good:\n- warm\n- dry\n\nEnd", "<p>Good:</p><ul><li>warm</li><li>dry</li></ul><p>End</p>"),
        ("• a\n•b\n– c\n", "<ul><li>a</li><li>b</li><li>c</li></ul>"),
        ("1. Cut\n2. Sew\n", "<ol><li>Cut</li><li>Sew</li></ol>"),
        ("1986. A year\n12. March", "<p>1986. A year<br>12. March</p>"),
        (
            "5 < 6 & 7 > 2 &amp; R&D &copy AT&T",
            "<p>5 &lt; 6 &amp; 7 &gt; 2 &amp; R&amp;D &amp;copy AT&amp;T</p>",
        ),
        ('<p style="color:red">Red</p>', "<p>Red</p>"),
        (
            "&lt;p&gt;Soft &amp;amp; warm.&lt;/p&gt;&lt;p&gt;Wool&lt;/p&gt;",
            "<p>Soft &amp; warm.</p><p>Wool</p>",
        ),
        ("Soft&lt;br /&gt;warm", "<p>Soft<br>warm</p>"),
        ("The tag &lt;b&gt; &amp;amp; more", "<p>The tag &lt;b&gt; &amp;amp; more</p>"),
        ("<mark>New</mark> style", "<p>New style</p>"),
        ("Size <select>", "<p>Size</p>"),
        (
            "A <b>bold</b> word\nand a line\n\nEnd",
            "<p>A <strong>bold</strong> word<br>and a line</p><p>End</p>",
        ),
        ("Intro\n<ul>\n<li>a</li>\n</ul>\nEnd", "<p>Intro</p><ul><li>a</li></ul><p>End</p>"),
        ("*Not* _emphasis_ [x](y)", "<p>*Not* _emphasis_ [x](y)</p>"),
    ],
)
def test_plain_text_becomes_paragraphs_and_lists(text: str, shown: str) -> None:
    assert page(html_of(text, newlines_count=True)) == shown


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("Tom &amp; Jerry &#8211; cup", "Tom & Jerry – cup"),
        ("Salt & <b>Pepper</b>", "Salt & Pepper"),
        ("&amp;lt;b&amp;gt; < 5 > 2", "&lt;b&gt; < 5 > 2"),
        ("A<br>B\n C", "A B C"),
        ("I <3 you &copy", "I <3 you &copy"),
    ],
)
def test_a_title_loses_its_tags_and_its_entities_are_decoded_once(title: str, line: str) -> None:
    assert line_of(title) == line


def test_emphasis_that_markdown_cannot_say_gives_way_to_the_words() -> None:
    assert page("1<s><b>1</b></s>") == "<p>11</p>"


def test_text_is_escaped_wherever_markdown_would_take_it_for_something_else() -> None:
    assert rendered(escaped("1. *a* [b](c) <d> `e` &amp;")) == "<p>1. *a* [b](c) &lt;d&gt; `e` &amp;amp;</p>"


@pytest.mark.parametrize(
    "tag", ["div", "i id={}", "table", "ul", "li", "blockquote", "a href='/{}'", "font size={}", "p", "x-y"]
)
def test_elements_in_too_many_others_keep_their_words_in_order(tag: str) -> None:
    count = 400
    deep = "".join(f"<{tag.format(number)}>w{number} " for number in range(count))
    body = markdown_of(f"<p>before</p>{deep}{f'</{tag.split(maxsplit=1)[0]}> ' * count}<p>after</p>")
    found = visible_words(rendered(body.markdown))
    # A browser puts loose words of a table in front of it.
    assert sorted(found) == sorted(["before", *(f"w{number}" for number in range(count)), "after"])
    if tag != "table":
        assert found == ["before", *(f"w{number}" for number in range(count)), "after"]
    flat = [what for what, outcome in body.lost if "their words are kept without them" in outcome]
    assert flat == ([] if tag in {"p", "li"} else ["elements inside 100 others (300 times)"])


def test_deep_elements_are_no_deeper_for_the_parser() -> None:
    deep, lost = bounded("<div>a<b class='x>'>b</b>" * 300 + "</div>" * 300)
    assert deep.count("<div>") == deep.count("</div>") == 100
    assert "<br>a<wbr class='x>'>b<wbr>" in deep
    assert lost == {("elements inside 100 others", "their words are kept without them"): 401}


def test_blocks_in_blocks_as_deep_as_pages_have_stay_as_they_are() -> None:
    page = "<div><p>a</p>" * 99 + "<ul><li>b</li></ul>" + "</div>" * 99
    assert bounded(page) == (page, {})


def test_a_description_of_endless_tags_ends() -> None:
    body = markdown_of("<p>word</p>" * 30_000)
    assert body.markdown.split() == ["word"] * 10_000
    assert ("what follows 20,000 tags in the description", "left out") in body.lost
