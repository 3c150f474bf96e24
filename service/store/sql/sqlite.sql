-- Where SQLite's spelling differs from PostgreSQL's.

-- name: claim
UPDATE purges SET state = 'claimed', claimed_by = :worker, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM purges AS p
    WHERE project = :project AND state = 'pending' AND due_at <= :now AND action = :action AND deadline = :deadline
      AND NOT EXISTS (SELECT 1 FROM purges AS c
                      WHERE c.project = p.project AND c.src_image = p.src_image AND c.state = 'claimed')
    ORDER BY due_at, id LIMIT :limit)
RETURNING id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
          last_error, superseded_by;

-- name: prune_purges
-- One small step; the links and attempts of what it returns go with it.
DELETE FROM purges WHERE id IN (
    SELECT id FROM purges
    WHERE finished_at IS NOT NULL AND (state <> 'dead' AND finished_at < :before OR finished_at < :dead_before)
    ORDER BY finished_at LIMIT :limit)
RETURNING id;

-- name: prune_receipts
-- One small step, by id, which sorts by time; a receipt whose purge is still under way stays.
DELETE FROM receipts WHERE id IN (
    SELECT r.id FROM receipts AS r
    WHERE r.id < :before_id AND NOT EXISTS (
        SELECT 1 FROM receipt_purges AS l JOIN purges AS p ON p.id = l.purge_id
        WHERE l.receipt_id = r.id AND p.state IN ('pending', 'claimed'))
    ORDER BY r.id LIMIT :limit)
RETURNING id;
