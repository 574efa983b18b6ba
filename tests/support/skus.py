"""SKUs as merchants have them, and as nobody should."""

from hypothesis import strategies as st

from chalicelib.domain.ids import SkuRefused, parse_sku

HOSTILE = (
    "Cam/4567",
    "cam-4567",
    "Grips - Oury - Grey",
    "0042",
    "42",
    'Ärmel "XL" & Söhne',
    "日本-1",
    "a b",
    "a  b",
    "a\u00a0b",
    "A B",
    "100%",
    "#1",
    "#confirmations#2026-11-23",
    "?x",
    "<b>",
    "</script><!--",
    "'; --",
    "a.b",
    "a[0]",
    "a+b",
    "a%20b",
    "a%2Fb",
    "&amp;",
    "{{ sku }}",
    "{% x %}",
    "{sku}",
    "[red]x[/red]",
    "-5",
    "--stock",
    "=1+1",
    "_Q",
    "__proto__",
    "..",
    "C:\\x",
    "a,b;c",
    "É",
    "ffi",
    "1/2",
    "ﬃ",
    "👕❤\ufe0f",
    "سترة-١",
    "👕" * 64,
    "S" * 64,
)

# SKUs that mean something in expressions of DynamoDB, in its statements or beside other keys.
IN_EXPRESSIONS = ("a.b", "a[0]", "#1", ":x", "'; --", 'Ä "b"', "a b", "#confirmations#2026-11-23", "👕" * 64)


def _is_sku(text: str) -> bool:
    try:
        return parse_sku(text) == text
    except SkuRefused:
        return False


def skus() -> st.SearchStrategy[str]:
    """Any SKU: one of those above, or any text that is one."""
    anything = st.text(
        st.characters(categories=("L", "M", "N", "P", "S", "Zs"), exclude_characters="\u2800\u3164"),
        min_size=1,
        max_size=64,
    )
    return st.sampled_from(HOSTILE) | anything.map(str.strip).filter(_is_sku)
