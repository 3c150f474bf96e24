-- What was sent stays in the indexes over what waits until the table is vacuumed, and every claim goes past it. Left to
-- itself that is when a fifth of the table has changed, which of ten million is much to go past.
ALTER TABLE purges SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, vacuum_index_cleanup = on);
ALTER TABLE lookups SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, vacuum_index_cleanup = on);
