"""Pending purges → calls to Vercel → what becomes of them. Knows no webhook."""
