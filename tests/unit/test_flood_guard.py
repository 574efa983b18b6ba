"""The stack limits a source that asks too often, and the requests of all sources."""

from typing import Any

from tests.support.aws import template

OPTION_OFF = 0


def resource(name: str) -> Any:
    return template()["Resources"][name]


def test_the_whole_api_is_throttled() -> None:
    (setting,) = resource("RestAPI")["Properties"]["MethodSettings"]
    assert (setting["ResourcePath"], setting["HttpMethod"]) == ("/*", "*")
    assert setting["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecondMax"}
    assert setting["ThrottlingBurstLimit"] == {"Ref": "ApiBurstRequestsMax"}
    assert template()["Parameters"]["ApiRequestsPerSecondMax"]["Default"] > 0


def test_there_is_no_firewall_unless_it_is_asked_for() -> None:
    assert template()["Parameters"]["ApiRequestsPerSourceMax"]["Default"] == OPTION_OFF
    assert resource("FloodGuardWebAcl")["Condition"] == "HasFloodGuard"
    config = resource("Distribution")["Properties"]["DistributionConfig"]
    guarded = {"Fn::GetAtt": "FloodGuardWebAcl.Arn"}
    assert config["WebACLId"] == {"Fn::If": ["HasFloodGuard", guarded, {"Ref": "AWS::NoValue"}]}


def test_the_firewall_counts_by_source_and_for_the_api_alone() -> None:
    (rule,) = resource("FloodGuardWebAcl")["Properties"]["Rules"]
    rate = rule["Statement"]["RateBasedStatement"]
    assert rate["AggregateKeyType"] == "IP"
    assert rate["Limit"] == {"Ref": "ApiRequestsPerSourceMax"}
    scope = rate["ScopeDownStatement"]["ByteMatchStatement"]
    assert (scope["PositionalConstraint"], scope["SearchString"]) == ("STARTS_WITH", "/api/")


def test_a_request_too_many_is_answered_429_and_never_by_a_puzzle() -> None:
    # To a form WAF answers a puzzle with 405 and a challenge with 202, which a script takes for accepted.
    (rule,) = resource("FloodGuardWebAcl")["Properties"]["Rules"]
    assert rule["Action"] == {"Block": {"CustomResponse": {"ResponseCode": 429}}}
    assert "FloodAction" not in template()["Parameters"]
