"""Support code of the tests: shops, clients in memory, drivers; no test stands here."""
