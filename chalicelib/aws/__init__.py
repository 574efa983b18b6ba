"""Call AWS without its SDK: sign requests, keep connections alive, retry transient errors.

boto3 costs a cold start 0.2 s and each call 1 ms of CPU. A signup uses this package for its calls, and a
publish for signing and parsing; everything else uses boto3, imported when first needed.
"""
