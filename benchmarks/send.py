"""`python -m benchmarks.send FOLDER URL`: put every file of a folder as a publish does, and nothing else."""

import sys
from pathlib import Path

from chalicelib.aws.signing import Credentials
from spillway.publish.body import loader
from spillway.publish.s3 import Request, S3Bucket

KEY, SECRET, REGION = "key", "secret", "us-east-1"
_HEADERS = {"content-type": "text/html; charset=utf-8", "cache-control": "public, max-age=0"}


def main() -> None:
    """Send them."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    bucket = S3Bucket("pages", REGION, lambda: Credentials(KEY, SECRET), endpoint=url)
    bucket.send(
        Request("PUT", f"products/{file.name}", _HEADERS, load=loader(file)) for file in folder.iterdir()
    )


if __name__ == "__main__":
    main()
