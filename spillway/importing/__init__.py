"""From other shops' exports to product files that a merchant can edit. What is not taken over is told."""
