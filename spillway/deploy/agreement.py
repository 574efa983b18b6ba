"""Compare what a shop says of itself, its base_url and its sender, with the parameters of its stack.

Links in pages and emails start with `base_url`: with another host than the stack serves they lead nowhere.
The functions may send from `SenderAddress` alone, so with another sender no email leaves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from chalicelib.mail.headers import parse_mailbox
from chalicelib.storefront.theme import Shop
from spillway.errors import BadInput
from spillway.stage import LOCAL, Stage


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A setting of the shop that its stack contradicts: both values, and which to change."""

    setting: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class StackSettings:
    """The host and the sender of a deployed stack. `domain` is empty without one of the shop's own."""

    stage: str
    domain: str
    distribution: str
    sender: str
    identity: str
    uses_ses: bool = True

    @classmethod
    def of(cls, stage: Stage) -> "StackSettings":
        """Read the settings of a stage.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        parameters = stage.parameters()
        return cls(
            stage.name,
            parameters.get("DomainName", ""),
            stage.outputs().get("DistributionDomain", ""),
            parameters.get("SenderAddress", ""),
            parameters.get("SenderIdentity", ""),
            uses_ses=not parameters.get("SmtpSecretArn"),
        )

    @property
    def host(self) -> str:
        """Return the host name under which shoppers reach the shop."""
        return self.domain or self.distribution

    def disagreements(self, shop: Shop) -> Iterator[Disagreement]:
        """Yield every setting of `shop` that this stack contradicts."""
        if urlsplit(shop.base_url).hostname != self.host.lower() or not _is_plain_https(shop.base_url):
            yield self._other_host(shop.base_url)
        if not self.uses_ses:  # another mail server has rules of its own
            return
        sender = parse_mailbox(shop.sender).address
        if sender != self.sender:
            yield self._other_sender(sender)
        elif not covers(self.identity, sender):
            yield Disagreement(
                "SenderIdentity",
                f"SenderAddress {sender} does not belong to SenderIdentity {self.identity}",
                f"spillway deploy --stage {self.stage} --param SenderIdentity={_domain(sender)}",
            )

    def _other_host(self, base_url: str) -> Disagreement:
        host = urlsplit(base_url).hostname
        deploy = (
            f"spillway deploy --stage {self.stage} --param DomainName={host} --param CertificateArn=ARN"
            " (docs/deploying.md)"
        )
        if self.domain:
            ways = f"set base_url in site/site.toml to https://{self.domain}"
            ways += "" if host == self.domain.lower() else f", or move the stack: {deploy}"
        else:
            ways = (
                f"until the domain is set up: spillway publish --stage {self.stage}"
                f" --base-url https://{self.host}; with the domain: {deploy}"
            )
        what = f"base_url is {base_url}, and stage {self.stage} serves https://{self.host}"
        return Disagreement("base_url", f"{what}: links would lead elsewhere", ways)

    def _other_sender(self, sender: str) -> Disagreement:
        parameters = f"--param SenderAddress={sender}"
        if not covers(self.identity, sender):
            parameters += f" --param SenderIdentity={_domain(sender)}"
        return Disagreement(
            "sender",
            f"sender is {sender}, and SenderAddress of stage {self.stage} is {self.sender or 'not set'}:"
            " SES would refuse each email",
            f"set sender in site/site.toml to {self.sender}, or:"
            f" spillway deploy --stage {self.stage} {parameters}",
        )


def covers(identity: str, address: str) -> bool:
    """Tell whether an SES identity lets `address` send: the address itself, its domain, or one above that.

    https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
    """
    domain, identity = _domain(address).lower(), identity.lower()
    return identity in {address.lower(), domain} or domain.endswith(f".{identity}")


def require_agreement(stage: Stage, shop: Shop) -> None:
    """Verify that the stage's stack contradicts no setting of `shop`. The local stage has no such settings.

    Raises:
        BadInput: it does, or nothing is deployed as this stage.
    """
    if stage.name == LOCAL:
        return
    found = list(StackSettings.of(stage).disagreements(shop))
    if found:
        raise BadInput(
            "\n  ".join(disagreement.what for disagreement in found),
            hint="\n  ".join([*(disagreement.hint for disagreement in found), "nothing was published"]),
        )


def _is_plain_https(base_url: str) -> bool:
    address = urlsplit(base_url)
    return address.scheme == "https" and address.port in {None, 443}


def _domain(address: str) -> str:
    return address.rpartition("@")[2]
