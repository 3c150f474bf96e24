"""relay.yaml: its frozen model, and the loader that reports every problem at once."""
