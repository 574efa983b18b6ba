"""The demo: the deployed package on a local cloud, the sample shop published to it, and an inbox."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from chalicelib.mail.headers import parse_mailbox
from chalicelib.settings import clock_ms
from spillway.deploy.package import packaged
from spillway.deploy.stack import deploy
from spillway.local_cloud import LAMBDA_INVOCATIONS_MAX, processes
from spillway.local_cloud.access_logs import AccessLog
from spillway.local_cloud.inbox_emails import InboxFolder
from spillway.local_cloud.local_cloud import CloudSettings, LocalCloud, erase, local_cloud, make_private
from spillway.local_cloud.record import CloudRecord
from spillway.local_cloud.servers import BrowserGuard, hosts_of, served
from spillway.local_cloud.web_apps import Relay, front, inbox
from spillway.project import Project
from spillway.publish.run import run_publish
from spillway.publish.sources import load_folder
from spillway.publish.target import publish_target
from spillway.sitegen.reading.loading import load_catalogue
from spillway.stage import LOCAL, Stage, local_stage
from spillway.terminal import Steps

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sesv2 import SESV2Client

# A person waits for each email of the demo.
CONFIRMATION_DELAY_S = 2


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The settings of a demo, which uses three consecutive ports: for the shop, the inbox and the cloud.

    Attributes:
        port: The first of the three ports.
        fresh: Delete the state of earlier demos.
        strict: Refuse requests that AWS would refuse by its models, its rules or IAM.
        invocations_max: Runs of a function in one chain of requests.
    """

    port: int
    fresh: bool = False
    strict: bool = True
    invocations_max: int = LAMBDA_INVOCATIONS_MAX

    @property
    def shop_url(self) -> str:
        """Return the shop's origin."""
        return f"http://{processes.HOST}:{self.port}"

    @property
    def inbox_url(self) -> str:
        """Return the inbox's origin."""
        return f"http://{processes.HOST}:{self.port + 1}"

    def cloud(self, project: Project) -> CloudSettings:
        """Return the settings of this demo's local cloud."""
        return CloudSettings(
            project.state / LOCAL,
            self.port + 2,
            self.port + 1,
            enforce_iam=self.strict,
            strict=self.strict,
            invocations_max=self.invocations_max,
        )


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """A running demo. `merchant` is the address that may sign in to the merchant's page."""

    settings: DemoSettings
    stage: Stage
    cloud: LocalCloud
    merchant: str


@contextmanager
def running_demo(project: Project, settings: DemoSettings, steps: Steps) -> Iterator[RunningDemo]:
    """Start the shop, and keep it running for the duration of the block. Its state stays on disk.

    Raises:
        BadInput: A port is taken, a demo is already running, or the catalogue has errors.
        WorkFailed: The cloud, the package or the deployment failed.
    """
    cloud_settings = settings.cloud(project)
    make_private(project.state)
    with ExitStack() as open_:
        shop_socket = open_.enter_context(
            processes.claim_port(settings.port, "the shop", in_a_row=processes.DEMO_PORTS)
        )
        inbox_socket = open_.enter_context(
            processes.claim_port(settings.port + 1, "the inbox", in_a_row=processes.DEMO_PORTS)
        )
        if settings.fresh:
            erase(cloud_settings.home)
        with steps.step("Read the catalogue"):
            sender = parse_mailbox(load_catalogue(project).storefront.shop.sender).address
        with steps.step("Start the local cloud"):
            cloud = open_.enter_context(local_cloud(cloud_settings))
        mailbox = InboxFolder(cloud_settings.home / "inbox")
        emails = inbox(
            mailbox, Relay(cloud_settings.endpoint_url), settings.shop_url, lambda: datetime.now(UTC)
        )
        guard = BrowserGuard(hosts_of(settings.port + 1))
        open_.enter_context(served(guard.around(emails), inbox_socket))
        record = _record(settings, cloud_settings)
        stage = local_stage(record)
        with steps.step("Package what Lambda runs"):
            package = packaged(project, LOCAL, region=stage.region)
        with steps.step("Deploy it"):
            _verify(stage, sender)
            parameters = {
                "SenderAddress": sender,
                "SenderIdentity": sender,
                "ConfirmationDelaySeconds": str(CONFIRMATION_DELAY_S),
                "MerchantAddresses": sender,
            }
            deploy(stage, package, parameters, lambda _: True)
        with steps.step("Build and publish the shop"), publish_target(stage, project, clock_ms) as target:
            load = partial(load_folder, project, base_url=settings.shop_url)
            run_publish(load, target, progress=steps.progress)
        outputs = stage.outputs()
        access_log = _access_log(stage, outputs)
        open_.enter_context(access_log.flushed())
        door = front(
            settings.shop_url,
            Relay(cloud_settings.endpoint_url),
            outputs["DistributionDomain"],
            cloud_settings.keys.door_secret,
            access_log.add,
        )
        guard = BrowserGuard(hosts_of(settings.port), pictures=True)
        open_.enter_context(served(guard.around(door), shop_socket))
        open_.callback(CloudRecord.remove, cloud_settings.home)
        record.write(cloud_settings.home)
        yield RunningDemo(settings, stage, cloud, merchant=sender)


def _access_log(stage: Stage, outputs: Mapping[str, str]) -> AccessLog:
    """Return the log of the front door, in the bucket to which CloudFront would deliver it."""
    s3: S3Client = stage.client("s3")
    bucket = outputs["TrafficBucket"]
    return AccessLog(
        outputs["DistributionId"], lambda key, body: s3.put_object(Bucket=bucket, Key=key, Body=body)
    )


def _verify(stage: Stage, sender: str) -> None:
    ses: SESV2Client = stage.client("sesv2")
    ses.create_email_identity(EmailIdentity=sender)


def _record(settings: DemoSettings, cloud: CloudSettings) -> CloudRecord:
    return CloudRecord(
        cloud.endpoint_url,
        cloud.region,
        settings.shop_url,
        settings.inbox_url,
        cloud.keys.access_key,
        cloud.keys.secret_key,
    )
