"""From a restock to emails, in order of signup, each at most once for a restock.

Read it in this order. `restocking` opens the fan-out and queues its first messages; it also has the tables,
and the checks that every batch repeats. `worker` takes a message off the queue, leases its shards, and sends
batch after batch. `walks` find the next batch, one walk for each type of message. `rate_limiter` holds a
batch back until its emails may leave. `notifier` sends it and marks its entries.

Nobody is skipped: the queue delivers the message of a dead worker again, each shard is walked once more at
its end, and a shopper who confirms after the upper bound was frozen is notified at once. Each batch checks
the stock again, and only the newest restock of a variant continues.
"""
