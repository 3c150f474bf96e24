-- Where PostgreSQL's spelling differs from SQLite's.

-- name: claim
-- Looks no further than the first thousand that are due: a call's worth of this action and deadline is among them, or
-- what there is goes out now and the rest with the next. What another process is just claiming is passed over.
UPDATE purges SET state = 'claimed', claimed_by = :worker, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM purges
    WHERE id = ANY (ARRAY(
        SELECT id FROM (
            SELECT id, action, deadline FROM purges AS p
            WHERE project = :project AND state = 'pending' AND due_at > 0 AND due_at <= :now
              AND (SELECT 1 FROM purges AS c
                   WHERE c.project = p.project AND c.src_image = p.src_image AND c.state = 'claimed' LIMIT 1) IS NULL
            ORDER BY due_at, id LIMIT 1000) AS due
        WHERE action = :action AND deadline = :deadline LIMIT :limit))
      AND state || '' = 'pending'
    FOR UPDATE SKIP LOCKED)
RETURNING id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
          last_error, superseded_by;

-- The database's clock. It alone counts: the processes' own may differ.

-- name: database_time
-- In seconds, and of this very moment: now() would be when the transaction began.
SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION);

-- Leases.

-- name: join_workers
INSERT INTO lanes (project, worker, until)
VALUES (:name, :worker, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + :lease)
ON CONFLICT (project) DO UPDATE SET until = excluded.until;

-- name: count_workers
SELECT COUNT(*) FROM lanes
WHERE project LIKE '@%' AND until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

-- name: lanes_of_worker
-- A lease that has ended does not count: in the meantime another process may have had it.
SELECT project FROM lanes
WHERE worker = :worker AND project NOT LIKE '@%' AND until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

-- name: renew_lane
UPDATE lanes SET until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + :lease
WHERE project = :project AND worker = :worker;

-- name: take_lane
INSERT INTO lanes (project, worker, until)
VALUES (:project, :worker, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + :lease)
ON CONFLICT (project) DO UPDATE SET worker = excluded.worker, until = excluded.until
WHERE lanes.until <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint
RETURNING project;

-- name: leave_lane
DELETE FROM lanes WHERE project = :project AND worker = :worker;

-- name: count_assets
-- The planner's own estimate; a count, no further than a hundred thousand, until there is one.
SELECT CASE WHEN reltuples >= 0 THEN CAST(reltuples AS BIGINT)
            ELSE (SELECT COUNT(*) FROM (SELECT 1 FROM assets LIMIT 100000) AS counted) END
FROM pg_class WHERE oid = CAST('assets' AS regclass);

-- name: pending_beside
-- What is pending for the images of purges that were just put in: those they have joined, and those of the other action.
-- An image has two at most; the LIMIT has the index asked for each, whatever is believed of how many there are.
WITH wanted (id, project, src_image) AS (VALUES :rows)
SELECT wanted.id AS asked, p.id, p.action FROM wanted CROSS JOIN LATERAL (
    SELECT found.id, found.action FROM purges AS found
    WHERE found.project = wanted.project AND found.src_image = wanted.src_image AND found.state = 'pending' LIMIT 2) AS p
WHERE p.id <> wanted.id;
