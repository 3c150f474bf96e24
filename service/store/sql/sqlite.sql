-- Where SQLite's spelling differs from PostgreSQL's.

-- name: claim
-- Looks no further than the first thousand that are due: a call's worth of this action and deadline is among them, or
-- what there is goes out now and the rest with the next.
UPDATE purges SET state = 'claimed', claimed_by = :worker, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM (
        SELECT id, action, deadline FROM purges AS p
        WHERE project = :project AND state = 'pending' AND due_at > 0 AND due_at <= :now
          AND (SELECT 1 FROM purges AS c
               WHERE c.project = p.project AND c.src_image = p.src_image AND c.state = 'claimed' LIMIT 1) IS NULL
        ORDER BY due_at, id LIMIT 1000)
    WHERE action = :action AND deadline = :deadline LIMIT :limit)
RETURNING id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
          last_error, superseded_by;

-- name: count_assets
-- No more than a million: a tenth of a second's reading.
SELECT COUNT(*) FROM (SELECT 1 FROM assets LIMIT 1000000);

-- name: pending_beside
-- What is pending for the images of purges that were just put in: those they have joined, and those of the other action.
WITH wanted (id, project, src_image) AS (VALUES :rows)
SELECT wanted.id AS asked, p.id, p.action FROM wanted CROSS JOIN purges AS p
WHERE p.project = wanted.project AND p.src_image = wanted.src_image AND p.state = 'pending' AND p.id <> wanted.id;
