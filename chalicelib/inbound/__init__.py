"""Stock events of other systems: one adapter a source, from a request to readings of stock.

An adapter is a pure function of the headers, the raw body, the address it was sent to and the secrets. It
returns `Readings`, a `Ping` or an `IgnoredEvent`, and raises `Unauthentic` or `MalformedEvent`. It reads no
row and no clock: the foreign ids of its readings become SKUs where the events are applied.
"""
