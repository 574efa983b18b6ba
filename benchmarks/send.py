"""`python -m benchmarks.send FOLDER URL`: put every file of a folder as a publish does, and nothing else."""

import os
import sys
from functools import partial

from chalicelib.aws.signing import Credentials
from spillway.publish.s3 import S3Bucket, S3Request, read_file

KEY, SECRET, REGION = "key", "secret", "us-east-1"
_HEADERS = {"content-type": "text/html; charset=utf-8", "cache-control": "public, max-age=0"}


def main() -> None:
    """Send them."""
    folder, url = sys.argv[1:]
    bucket = S3Bucket("pages", REGION, lambda: Credentials(KEY, SECRET), endpoint=url)
    bucket.send(
        S3Request("PUT", f"products/{file.name}", _HEADERS, load=partial(read_file, file.path))
        for file in os.scandir(folder)
    )


if __name__ == "__main__":
    main()
