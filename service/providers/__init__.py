"""One file a sender: how it proves itself, and what its events mean. Bytes in, values out; no I/O."""
