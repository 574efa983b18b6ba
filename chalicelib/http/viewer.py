"""The address that a request came from, as the distribution saw it."""

from chalice.app import Request


def viewer_address(request: Request) -> str:
    """Return the IP address of the viewer; empty where nobody said.

    CloudFront appends it to whatever the viewer sent as X-Forwarded-For; API Gateway may append the address
    of CloudFront's own server, which it names as `sourceIp`. So it is the last of the others. Addresses
    before it may be forged.
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
    """
    peer = str((request.context.get("identity") or {}).get("sourceIp") or "")
    forwarded = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    if len(forwarded) > 1 and forwarded[-1] == peer:
        forwarded.pop()
    return forwarded[-1] or peer
