"""A file of domains whose addresses the shop does not take: one in each line, # begins a remark."""

import re

from chalicelib.tables.domain_lists import PACKED_BYTES_MAX, packed
from spillway.sitegen.input_error import InputError

_PLAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)


def read_domains(text: str, *, file: str, mistakes: list[InputError]) -> tuple[str, ...]:
    """The domains of a file's text as A-labels, sorted, each once. Mistakes are added to `mistakes`."""
    domains: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        domain = line.partition("#")[0].strip()
        if not domain:
            continue
        encoded = _a_label(domain)
        if encoded is None:
            mistakes.append(InputError(file, number, "domain", domain, "one domain in a line: example.com"))
        else:
            domains.add(encoded)
    if not domains:
        mistakes.append(InputError(file, None, "domains", None, "at least one domain"))
    elif (size_bytes := len(packed(domains))) > PACKED_BYTES_MAX:
        expected = f"at most {PACKED_BYTES_MAX} bytes once it is packed, some 25,000 domains"
        mistakes.append(InputError(file, None, "domains", f"{len(domains)} in {size_bytes} bytes", expected))
    return tuple(sorted(domains))


def _a_label(domain: str) -> str | None:
    if _PLAIN.fullmatch(domain.lower()):
        return domain.lower()
    # A large library, needed only for a domain that is not written in plain letters.
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(f"anybody@{domain}", check_deliverability=False).ascii_domain.lower()
    except EmailNotValidError:
        return None
