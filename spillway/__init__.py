"""The operator's command line: build, publish, deploy, demo. May import `chalicelib`."""
