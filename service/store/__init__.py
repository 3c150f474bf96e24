"""The store: plain SQL behind one facade a noun."""
