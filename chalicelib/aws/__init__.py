"""AWS without its SDK, for the calls a flood is made of: signed, kept alive, tried again.

boto3 costs a cold start a fifth of a second and every call a millisecond of CPU. Calls outside
of a signup use boto3, imported when first needed.
"""
