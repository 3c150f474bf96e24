"""An event and its source's rules → purges: pure, compiled once, and the same code path for `explain`."""
