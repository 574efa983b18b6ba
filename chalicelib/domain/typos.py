"""Slips of the finger in well-known domains: worth a question, never a refusal."""

from chalicelib.domain.address import Address

# A table and not a distance: to compare with every known domain would cost more than the signup does.
DOMAINS_BY_TYPO = {
    typo: domain
    for domain, typos in {
        "gmail.com": "gmial.com gmai.com gmal.com gmil.com gamil.com gnail.com gmaill.com gmail.co gmail.con"
        " gmail.cm gmail.om gmail.cmo gmaul.com gmeil.com gemail.com gmailcom.com",
        "googlemail.com": "googlemial.com googelmail.com goglemail.com googlemail.con",
        "hotmail.com": "hotmial.com hotmal.com hotmai.com hotmil.com hotamil.com hotnail.com homail.com"
        " hotmaill.com hotmail.co hotmail.con hotmail.cm",
        "outlook.com": "outlok.com outloo.com outlool.com outllok.com oultook.com outlook.co outlook.con",
        "yahoo.com": "yaho.com yahooo.com yhaoo.com yaoo.com yahho.com yahoo.co yahoo.con yahoo.cm",
        "icloud.com": "iclod.com icoud.com iclould.com icloud.co icloud.con icluod.com",
    }.items()
    for typo in typos.split()
}


def suggestion(address: Address) -> str | None:
    """The address its owner may have meant; None when nothing looks wrong."""
    local, _, domain = address.mailbox.rpartition("@")
    meant = DOMAINS_BY_TYPO.get(domain)
    return f"{local}@{meant}" if meant else None
