"""What an operator can see of a running relay: its log and its health."""
