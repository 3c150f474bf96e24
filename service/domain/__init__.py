"""The vocabulary every other package speaks: frozen types, errors with a machine reason, clock. No I/O."""
