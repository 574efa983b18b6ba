"""Forms are read and sent as a browser without scripts would."""

import pytest

from chalicelib.domain.ids import Sku
from spillway.local_cloud.shopper import Form, FormField, forms_of, waitlist_form

PAGE = """
<form action="/search"><input name="q" value="coat"><button name="go" value="1">Go</button></form>
<form id="waitlist" action="/api/waitlist" method="POST">
  <label><input type="checkbox" name="sku" value="FJ-M"> M</label>
  <label><input type="checkbox" name="sku" value="FJ-L" checked> L</label>
  <input type=hidden name=page value="/products/field-jacket">
  <input name="website" tabindex="-1"><input name="gone" disabled>
  <input name="email" type="email" required><input type="submit" name="send" value="Send">
</form>
<input name="outside" value="1">
"""


@pytest.fixture
def waitlist() -> Form:
    return forms_of(PAGE)[1]


def test_every_form_of_a_page_is_found_with_where_it_goes() -> None:
    found = [(form.action, form.method) for form in forms_of(PAGE)]
    assert found == [("/search", "get"), ("/api/waitlist", "post")]


def test_a_control_outside_its_form_belongs_to_the_form_that_it_names() -> None:
    page = """<input type="radio" name="sku" value="FJ-M" form="waitlist"><input name="o" form="none">
    <form id="waitlist" action="/api/waitlist" method="post"><input name="email"></form>"""
    (form,) = forms_of(page)
    assert form.filled({"sku": ["FJ-M"]}) == [("sku", "FJ-M"), ("email", "")]


def test_an_untouched_form_is_sent_as_it_is(waitlist: Form) -> None:
    assert waitlist.filled({}) == [
        ("sku", "FJ-L"),
        ("page", "/products/field-jacket"),
        ("website", ""),
        ("email", ""),
    ]


def test_answers_take_the_place_of_what_was_there(waitlist: Form) -> None:
    sent = waitlist.filled({"email": ["ada@example.com"], "sku": ["FJ-M"]})
    assert sent == [
        ("sku", "FJ-M"),
        ("page", "/products/field-jacket"),
        ("website", ""),
        ("email", "ada@example.com"),
    ]


def test_the_choices_of_a_field_are_those_on_the_page(waitlist: Form) -> None:
    assert waitlist.choices("sku") == ("FJ-M", "FJ-L")


@pytest.mark.parametrize("answers", [{"sku": ["FJ-XL"]}, {"name": ["Ada"]}, {"page": ["/elsewhere"]}])
def test_a_value_that_the_form_lacks_cannot_be_sent(waitlist: Form, answers: dict[str, list[str]]) -> None:
    with pytest.raises(KeyError):
        waitlist.filled(answers)


def test_a_box_without_a_value_says_on() -> None:
    (form,) = forms_of('<form><input type="checkbox" name="yes" checked></form>')
    assert form.fields == (FormField("yes", "on", "checkbox", sent=True),)


def test_a_variant_is_awaited_where_it_is_marked_as_sold_out_or_the_only_one() -> None:
    form = '<form id="waitlist" action="/api/waitlist" method="post">'
    buyable = '<input type="radio" name="sku" value="FJ-S" form="waitlist">'
    awaited = '<input type="radio" name="sku" value="FJ-M" form="waitlist" data-wait>'
    several = waitlist_form(f"{buyable}{awaited}{form}</form>")
    single = waitlist_form(f'{form}<input type="hidden" name="sku" value="HAT"></form>')
    assert several is not None
    assert single is not None
    assert [several.is_awaited(Sku(sku)) for sku in ("FJ-S", "FJ-M", "FJ-L")] == [False, True, False]
    assert [single.is_awaited(Sku(sku)) for sku in ("HAT", "FJ-M")] == [True, False]
