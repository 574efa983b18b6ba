"""Events to other systems: addresses that may be called, signatures, the schedule of retries, one HTTPS call.

Everything but `https_post` and `fetching` is pure: clock, randomness and the resolver of names are passed in.
"""
