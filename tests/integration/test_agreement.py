"""A shop is compared with the parameters of its stack before anything is published."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from chalicelib.domain.entry import OptIn
from chalicelib.storefront.theme import Shop
from spillway.deploy.checks import Disagreement, StackSettings, covers, require_agreement
from spillway.errors import BadInput
from spillway.publish.run import Published, plan_publish, run_publish
from spillway.publish.sources import choose_kept, load_folder, load_kept
from spillway.stage import LOCAL
from tests.support.publish_env import PublishEnv, edit_privacy
from tests.support.stubbed_stage import Client, FakeStage, stage

STACK = StackSettings(
    "production", "www.heron.example", "d111.cloudfront.net", "hello@heron.example", "heron.example"
)
SHOP = Shop(
    *("Heron", "Clothes", "https://www.heron.example", "GBP", "en-GB"),
    *("Heron <hello@heron.example>", "help@heron.example", "/checkout?sku={sku}", ()),
    OptIn.DOUBLE,
)


def found(stack: StackSettings = STACK, **changed: Any) -> list[Disagreement]:
    return list(stack.disagreements(replace(SHOP, **changed)))


def test_a_shop_that_says_what_its_stack_says_is_published() -> None:
    assert found() == []
    assert found(base_url="https://WWW.Heron.example:443") == []
    assert found(replace(STACK, domain=""), base_url="https://d111.cloudfront.net") == []


def test_another_domain_is_named_with_both_ways_out() -> None:
    (one,) = found(base_url="https://shop.heron.example")
    assert one.setting == "base_url"
    assert "base_url is https://shop.heron.example" in one.what
    assert "production serves https://www.heron.example" in one.what
    assert one.hint.startswith("set base_url in site/site.toml to https://www.heron.example, or move")
    assert "--param DomainName=shop.heron.example --param CertificateArn=ARN" in one.hint


def test_before_the_domain_is_set_up_the_shop_is_published_under_the_distributions_name() -> None:
    (one,) = found(replace(STACK, domain=""))
    assert "production serves https://d111.cloudfront.net" in one.what
    assert "spillway publish --stage production --base-url https://d111.cloudfront.net;" in one.hint
    assert "--param DomainName=www.heron.example --param CertificateArn=ARN" in one.hint


@pytest.mark.parametrize("base_url", ["http://www.heron.example", "https://www.heron.example:8443"])
def test_links_that_the_distribution_does_not_serve_are_refused(base_url: str) -> None:
    (one,) = found(base_url=base_url)
    assert one.hint == "set base_url in site/site.toml to https://www.heron.example"


def test_another_sender_is_named_with_both_ways_out() -> None:
    (one,) = found(sender="Heron <hello@egret.example>")
    assert one.setting == "sender"
    assert "sender is hello@egret.example" in one.what
    assert "SenderAddress of stage production is hello@heron.example" in one.what
    assert one.hint == (
        "set sender in site/site.toml to hello@heron.example, or: spillway deploy --stage production"
        " --param SenderAddress=hello@egret.example --param SenderIdentity=egret.example"
    )
    (same_domain,) = found(sender="news@heron.example")
    assert same_domain.hint.endswith("--param SenderAddress=news@heron.example")


def test_a_senders_domain_is_compared_as_it_travels() -> None:
    stack = replace(STACK, sender="hallo@xn--bcher-kva.example", identity="xn--bcher-kva.example")
    assert found(stack, sender="Müller <hallo@bücher.example>") == []
    assert found(stack, sender="hallo@Bücher.example") == []
    (one,) = found(stack, sender="Hallo@bücher.example")  # IAM compares ses:FromAddress email by email
    assert "--param SenderAddress=Hallo@xn--bcher-kva.example" in one.hint


def test_a_sender_of_another_identity_is_refused() -> None:
    (one,) = found(replace(STACK, identity="egret.example"))
    assert one.setting == "SenderIdentity"
    assert one.hint == "spillway deploy --stage production --param SenderIdentity=heron.example"


def test_another_mail_server_has_its_own_rules_for_senders() -> None:
    assert found(replace(STACK, uses_ses=False), sender="hello@egret.example") == []


@pytest.mark.parametrize(
    ("identity", "yes"),
    [
        ("hello@news.heron.example", True),
        ("news.heron.example", True),
        ("Heron.example", True),
        ("eron.example", False),
        ("x.news.heron.example", False),
        ("other@news.heron.example", False),
    ],
)
def test_an_identity_covers_its_address_its_domain_and_what_is_below(identity: str, *, yes: bool) -> None:
    assert covers(identity, "hello@news.heron.example") is yes


class ParametersStage(FakeStage):
    """A stage whose stack has a distribution of that name."""

    def outputs(self) -> dict[str, str]:
        return {"DistributionDomain": "d111.cloudfront.net"}


def deployed(name: str = "production", **parameters: str) -> FakeStage:
    given: dict[str, Any] = {
        "SenderAddress": "hello@heron.example",
        "SenderIdentity": "heron.example",
        "DomainName": "www.heron.example",
    }
    stacks = [
        {
            "Outputs": [],
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": text} for key, text in (given | parameters).items()
            ],
        }
    ]
    made = stage(name, cloudformation=Client(describe_stacks={"Stacks": stacks}))
    return ParametersStage(made.name, made.region, made.session, clients=made.clients)


def publish_to(place: FakeStage, env: PublishEnv, **options: Any) -> Published:
    """Publish the folder to a target that is checked against the stack of `place`."""
    target = replace(env.target, check_shop=partial(require_agreement, place))
    return run_publish(partial(load_folder, env.project, **options), target)


def test_nothing_is_published_that_the_stack_contradicts(env: PublishEnv) -> None:
    place = deployed(DomainName="", SenderAddress="hello@egret.example")
    with pytest.raises(BadInput, match=r"base_url is https://www\.heron\.example") as refused:
        publish_to(place, env)
    assert "sender is hello@heron.example" in refused.value.message
    assert refused.value.hint.endswith("nothing was published")
    assert env.sink.objects == {}
    with pytest.raises(BadInput, match=r"base_url is https://www\.heron\.example"):
        plan_publish(
            partial(load_folder, env.project),
            replace(env.target, check_shop=partial(require_agreement, place)),
        )
    published = publish_to(deployed(DomainName=""), env, base_url="https://d111.cloudfront.net")
    assert published.uploaded > 0
    assert "https://d111.cloudfront.net/" in env.page("sitemap.xml")


def test_no_release_of_another_domain_is_gone_back_to(env: PublishEnv) -> None:
    publish_to(deployed(DomainName=""), env, base_url="https://d111.cloudfront.net")
    edit_privacy(env.project)
    publish_to(deployed(), env)
    kept = choose_kept(env.manifest.read().manifest, None)
    target = replace(env.target, check_shop=partial(require_agreement, deployed()))
    with pytest.raises(BadInput, match=r"base_url is https://d111\.cloudfront\.net"):
        run_publish(partial(load_kept, kept, env.project, target), target)
    assert "https://www.heron.example/" in env.page("sitemap.xml")


def test_the_local_stage_is_published_for_wherever_it_is_served() -> None:
    require_agreement(stage(LOCAL), replace(SHOP, base_url="http://127.0.0.1:9110"))
