"""From the source to a stack in the cloud: package, change set, execution."""
