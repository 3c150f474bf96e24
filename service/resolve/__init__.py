"""Webhooks that have an id alone: which GET finds the asset's URLs, and what its answer says."""
