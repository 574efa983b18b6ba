"""All that runs in the cloud. Never imports `spillway`, the operator's side."""
