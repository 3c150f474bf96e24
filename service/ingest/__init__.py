"""A webhook → a receipt and its purges, committed before it is acknowledged."""
