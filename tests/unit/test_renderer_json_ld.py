"""Data inside a script element: no text can end it, and every text comes back whole."""

import json

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.storefront.json_ld import escaped_json

DOCUMENTS = st.dictionaries(
    st.text(), st.text() | st.sampled_from(["</script>", "<!--", "]]>", "\u2028", "&lt;"])
)


@given(DOCUMENTS)
def test_any_document_comes_back_and_holds_nothing_that_markup_is_made_of(document: dict[str, str]) -> None:
    text = escaped_json(document)

    assert json.loads(text) == document
    assert not set(text) & set("<>&\u2028\u2029")
