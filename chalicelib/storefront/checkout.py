"""Where "buy" leads: the shop's own checkout, reached by a plain form that needs no script."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

SKU_PLACE = "{sku}"


@dataclass(frozen=True, slots=True)
class CheckoutForm:
    """A GET form that asks the checkout for one SKU: `field` carries it, `fixed` goes along unchanged."""

    action: str
    field: str
    fixed: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, checkout_url: str, *, at: Callable[[str], str] = str) -> "CheckoutForm":
        """The form that leads to `checkout_url`, in which one query parameter's whole value is `{sku}`.
        `at` says where a page of the shop's own is.

        Raises:
            ValueError: no parameter is `{sku}`, or it stands elsewhere too.
        """
        address = urlsplit(checkout_url)
        parameters = parse_qsl(address.query, keep_blank_values=True)
        fields = [name for name, value in parameters if value == SKU_PLACE]
        if len(fields) != 1 or checkout_url.count(SKU_PLACE) != 1:
            raise ValueError(checkout_url)
        action = urlunsplit((address.scheme, address.netloc, address.path, "", ""))
        action = at(action) if action.startswith("/") and not action.startswith("//") else action
        return cls(action, fields[0], tuple(pair for pair in parameters if pair[1] != SKU_PLACE))
