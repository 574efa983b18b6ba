"""The first step of every stream record and queue message: parse it, decide, hand it to a service.

`streams` reacts to changed entries and products, `queues` to messages, both record by record (`batches`). The
functions import these modules when they are called: the API's cold start pays for none of them.
"""
