"""A stage: one deployed shop, on AWS or on the local cloud, how to talk to it, and what its errors mean."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import boto3
from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, of an endpoint that does not answer
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from chalicelib.container import Container
from chalicelib.settings import OPTIONAL, Settings
from spillway.errors import (
    ACCESS_DENIED,
    CLOCK_WORDS,
    CLOCK_WRONG,
    EXPIRED,
    POLICY,
    SET_CLOCK,
    SIGN_IN,
    UNKNOWN_KEYS,
    BadInput,
    SpillwayError,
    WorkFailed,
)
from spillway.local_cloud import processes
from spillway.local_cloud.record import CloudRecord
from spillway.project import LOCAL_STAGE, Project

LOCAL = LOCAL_STAGE
OUTPUT_OF_SETTING = {
    "entries_table": "EntriesTable",
    "products_table": "ProductsTable",
    "restocks_table": "RestocksTable",
    "suppressions_table": "SuppressionsTable",
    "sending_table": "SendingTable",
    "demand_table": "DemandTable",
    "events_table": "EventsTable",
    "merchant_table": "MerchantTable",
    "pages_bucket": "PagesBucket",
    "release_bucket": "ReleaseBucket",
    "signing_keys_secret": "SigningKeysSecret",
    "merchant_keys_secret": "MerchantKeysSecret",
    "source_secrets": "SourceSecrets",
    "webhook_secrets": "WebhookSecrets",
    "webhook_deliveries_queue_url": "WebhookDeliveriesQueue",
    "confirmations_queue_url": "ConfirmationsQueue",
    "waves_queue_url": "WavesQueue",
    "domain_events_queue_url": "DomainEventsQueue",
    "configuration_set": "EmailConfigurationSet",
    "distribution_id": "DistributionId",
    "traffic_bucket": "TrafficBucket",
    "traffic_salts_secret": "TrafficSaltsSecret",
    "stock_accounts_secret": "StockAccountsSecret",
    "smtp_secret": "SmtpSecret",
}
STACK_PREFIX = "spillway-"
# "prod" is nearer to "production" than this.
STAGE_SHARE_MIN = 0.5
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a shop is deployed. Only the session and the endpoint tell a laptop from AWS."""

    name: str
    region: str
    session: boto3.Session = field(repr=False, compare=False)
    endpoint_url: str | None = None
    shop_url: str | None = None
    """Where the shop is served, when that is not the base_url of site.toml."""
    email_url: str | None = None
    """Where calls to SES go, when that is not `endpoint_url`: the demo's inbox keeps what SES accepts."""

    @property
    def stack_name(self) -> str:
        """The CloudFormation stack of this stage."""
        return stack_name_of(self.name)

    @property
    def poll_s(self) -> float:
        """How long to wait between two questions about work in progress."""
        return 0.2 if self.endpoint_url else 3.0

    def client(self, service: str) -> Any:
        """Return a boto3 client; annotate the variable with its type from types-boto3."""
        url = self.email_url if service == "sesv2" and self.email_url else self.endpoint_url
        # The stubs know each service by a literal name of its own.
        return self.session.client(service, endpoint_url=url)  # type: ignore[call-overload]

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the stack: names of tables, buckets, the distribution.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        return {output["OutputKey"]: output["OutputValue"] for output in self.stack()["Outputs"]}

    def container(self) -> Container:
        """Return the objects of this stage, built over its clients and its stack's outputs.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        settings = settings_of(self.outputs())
        return Container(lambda: settings, lambda service, attempts_max=0: self.client(service))

    def parameters(self) -> dict[str, str]:
        """Return the values of the deployed stack's parameters.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        parameters = self.stack().get("Parameters", ())
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in parameters}

    def stack(self) -> Mapping[str, Any]:
        """Return the deployed stack as CloudFormation describes it.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            stacks = []
        if not stacks or "Outputs" not in stacks[0]:
            near = get_close_matches(self.name, self._deployed(), n=1, cutoff=STAGE_SHARE_MIN)
            meant = f"did you mean --stage {near[0]}? Else " if near else ""
            raise BadInput(
                f"stage {self.name}: nothing is deployed in {self.region}",
                hint=f"{meant}deploy it with spillway deploy --stage {self.name};"
                " if it is deployed in another region, set AWS_REGION to that one",
            )
        found: Mapping[str, Any] = stacks[0]
        return found

    def _deployed(self) -> list[str]:
        """Return the names of the stages in this region; none where the caller may not list stacks."""
        try:
            stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        except ClientError:
            return []
        return [
            stack["StackName"].removeprefix(STACK_PREFIX)
            for stack in stacks
            if stack["StackName"].startswith(STACK_PREFIX)
        ]


def stack_name_of(stage_name: str) -> str:
    """Return the name of the stack of the stage `stage_name`."""
    return f"{STACK_PREFIX}{stage_name}"


def local_stage(cloud: CloudRecord) -> Stage:
    """Return the stage on a local cloud, for the root of its account."""
    session = boto3.Session(
        aws_access_key_id=cloud.access_key, aws_secret_access_key=cloud.secret_key, region_name=cloud.region
    )
    return Stage(LOCAL, cloud.region, session, cloud.endpoint_url, cloud.shop_url, cloud.inbox_url)


def stage_named(project: Project, name: str) -> Stage:
    """Return the stage of that name: `local` is what the running demo serves, any other one is on AWS.

    Raises:
        BadInput: the name cannot be one, no demo runs, or AWS knows neither who we are nor where.
    """
    require_stage_name(name)
    if name != LOCAL:
        return _aws_stage(name)
    stage = running_local_stage(project)
    if stage is None:
        raise BadInput("the local cloud is not running", hint="start it with spillway demo")
    return stage


def require_stage_name(name: str) -> None:
    """Check that a stage can be called `name`.

    Raises:
        BadInput: it cannot.
    """
    if not NAME.fullmatch(name):
        raise BadInput(
            f"--stage {name!r}: not a name for a stage",
            hint="use up to 31 lower-case letters, digits and hyphens, a letter first",
        )


def running_local_stage(project: Project) -> Stage | None:
    """Return the stage that the running demo serves; None when none runs."""
    record = CloudRecord.read(project.state / LOCAL)
    if record is None or not processes.port_answers(record.port):
        return None
    return local_stage(record)


def region_in(environment: Mapping[str, str]) -> str | None:
    """Return the region that environment variables set; None leaves it to the profile.

    AWS_REGION counts before AWS_DEFAULT_REGION, as in the AWS CLI and the other SDKs; boto3 knows the second
    one alone. An empty variable is as good as none.
    https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html
    """
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None


def _aws_stage(name: str) -> Stage:
    try:
        session = boto3.Session(region_name=region_in(os.environ))
    except ProfileNotFound as error:
        raise BadInput(
            f"stage {name}: {error}", hint="set AWS_PROFILE to one that aws configure list-profiles names"
        ) from error
    if session.get_credentials() is None:
        raise BadInput(
            f"stage {name}: no AWS credentials",
            hint="sign in with the AWS CLI (aws login, aws sso login or aws configure),"
            " or set AWS_PROFILE; --stage local needs none",
        )
    if session.region_name is None:
        raise BadInput(f"stage {name}: no AWS region", hint="set AWS_REGION, or the region of the profile")
    # The variable that every AWS tool heeds, for the calls that we make without one of them, too.
    return Stage(name, session.region_name, session, os.environ.get("AWS_ENDPOINT_URL") or None)


def settings_of(outputs: Mapping[str, str]) -> Settings:
    """Return the settings that a stack's outputs say. It has none for topics, which no command needs."""
    named: dict[str, Any] = {
        name: outputs.get(output) or (None if name in OPTIONAL else "")
        for name, output in OUTPUT_OF_SETTING.items()
    }
    return Settings(**named, alarms_topic="")


# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
DENIED = re.compile(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: (\S+))?")


def explained(error: Exception) -> SpillwayError:
    """Return what an error of botocore means for the person at the terminal.

    Missing credentials and regions are input (exit status 2); AWS's refusals are work that failed (1).
    """
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return BadInput("no AWS credentials", hint=f"{SIGN_IN}; --stage local needs none")
    if isinstance(error, NoRegionError):
        return BadInput("no AWS region", hint="set AWS_REGION, or the region of the profile")
    if isinstance(error, SSOError | TokenRetrievalError | CredentialRetrievalError):
        return WorkFailed(f"AWS: the sign-in is over or cannot be read: {error}", hint=SIGN_IN)
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, EndpointConnectionError | ConnectionError):
        return WorkFailed(f"AWS: {error}", hint="check the region (AWS_REGION) and the network")
    return WorkFailed(f"AWS: {error}", hint="check the credentials, the region and the network")


def missing_right(error: ClientError) -> str | None:
    """Return the action that the caller may not perform, as a policy names it; None for another error."""
    if error.response["Error"].get("Code") not in ACCESS_DENIED:
        return None
    found = DENIED.search(error.response["Error"].get("Message", ""))
    return found[1] if found else error.operation_name


def _refused(error: ClientError) -> SpillwayError:
    code = error.response["Error"].get("Code", "")
    action = missing_right(error)
    if action:
        found = DENIED.search(error.response["Error"].get("Message", ""))
        where = f" on {found[2].rstrip('.')}" if found and found[2] else ""
        return WorkFailed(f"AWS: these credentials may not perform {action}{where}", hint=POLICY)
    if code in CLOCK_WRONG or error.response["Error"].get("Message", "").startswith(CLOCK_WORDS):
        return WorkFailed(f"AWS: this machine's clock is wrong ({code})", hint=SET_CLOCK)
    if code in EXPIRED:
        return WorkFailed(f"AWS: the credentials have expired ({code})", hint=SIGN_IN)
    if code in UNKNOWN_KEYS:
        return WorkFailed(f"AWS: it does not know these credentials ({code})", hint=SIGN_IN)
    return WorkFailed(f"AWS: {error}", hint="check the credentials, the region and the network")
