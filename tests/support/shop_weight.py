"""The most bytes of a first view of the sample shop's mean product page. Page weight is the bill."""

SAMPLE_REQUESTS_MAX = 3.8
SAMPLE_BYTES_MAX = 52_000
