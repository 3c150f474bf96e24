-- Lookups: assets whose URLs are asked for. Both databases share these.

-- name: upsert_lookup
-- Joins the pending lookup of the same asset, if there is one. The address is that of the latest receipt: one that names
-- another address is worth another try now, where the former one fails.
INSERT INTO lookups (id, source, environment, asset_id, url, url_of, state, due_at, created_at, changed_at, attempts)
VALUES (:id, :source, :environment, :asset_id, :url, :receipt_id, 'pending', :now, :now, :now, 0)
ON CONFLICT (source, environment, asset_id) WHERE state = 'pending'
DO UPDATE SET
    due_at = CASE WHEN excluded.url_of >= lookups.url_of AND excluded.url <> lookups.url
                       AND excluded.due_at < lookups.due_at
                  THEN excluded.due_at ELSE lookups.due_at END,
    url = CASE WHEN excluded.url_of >= lookups.url_of THEN excluded.url ELSE lookups.url END,
    url_of = CASE WHEN excluded.url_of >= lookups.url_of THEN excluded.url_of ELSE lookups.url_of END,
    changed_at = CASE WHEN excluded.changed_at > lookups.changed_at THEN excluded.changed_at
                      ELSE lookups.changed_at END
RETURNING id;

-- name: put_lookup_event
INSERT INTO lookup_events (lookup_id, receipt_id, position, event, planned)
VALUES (:lookup_id, :receipt_id, :position, :event, 0)
ON CONFLICT (lookup_id, receipt_id, position) DO UPDATE SET event = excluded.event, planned = 0, failed = NULL;

-- name: pending_lookup_sources
WITH RECURSIVE waiting(source) AS (
    SELECT MIN(source) FROM lookups WHERE state = 'pending'
    UNION ALL
    SELECT (SELECT MIN(source) FROM lookups WHERE state = 'pending' AND source > waiting.source) FROM waiting
    WHERE waiting.source IS NOT NULL)
SELECT source FROM waiting WHERE source IS NOT NULL;

-- name: next_lookup_at
-- An asset that is being asked for waits for that answer.
SELECT due_at FROM lookups AS l
WHERE source = :source AND state = 'pending' AND due_at > 0
  AND (SELECT 1 FROM lookups AS c
       WHERE c.source = l.source AND c.environment = l.environment AND c.asset_id = l.asset_id
         AND c.state = 'claimed' LIMIT 1) IS NULL
ORDER BY due_at, id LIMIT 1;

-- name: claim_lookup
UPDATE lookups SET state = 'claimed', claimed_by = :worker, attempts = attempts + 1
WHERE id = (
    SELECT id FROM lookups AS l
    WHERE source = :source AND state = 'pending' AND due_at > 0 AND due_at <= :now
      AND (SELECT 1 FROM lookups AS c
           WHERE c.source = l.source AND c.environment = l.environment AND c.asset_id = l.asset_id
             AND c.state = 'claimed' LIMIT 1) IS NULL
    ORDER BY due_at, id LIMIT 1)
RETURNING id, source, environment, asset_id, url, state, due_at, created_at, changed_at, failing_since, finished_at,
          attempts, last_error, superseded_by;

-- name: claimed_lookups
SELECT id, source, environment, asset_id, url, state, due_at, created_at, changed_at, failing_since, finished_at,
       attempts, last_error, superseded_by
FROM lookups WHERE source = :source AND state = 'claimed';

-- name: lookup_state
SELECT state FROM lookups WHERE id = :id;

-- name: pending_lookup_of_asset
SELECT id FROM lookups
WHERE source = :source AND environment = :environment AND asset_id = :asset_id AND state = 'pending';

-- name: put_back_lookup
UPDATE lookups SET state = 'pending', due_at = :due_at, url = :url, last_error = :last_error,
                   failing_since = :failing_since, claimed_by = NULL
WHERE id = :id AND state || '' = 'claimed';

-- name: move_lookup_events
INSERT INTO lookup_events (lookup_id, receipt_id, position, event, planned)
SELECT :heir, receipt_id, position, event, 0 FROM lookup_events WHERE lookup_id = :id AND planned = 0
ON CONFLICT (lookup_id, receipt_id, position) DO NOTHING;

-- name: drop_lookup_events
DELETE FROM lookup_events WHERE lookup_id = :id AND planned = 0;

-- name: merge_into_lookup
-- The heir of a lookup that is backing off backs off in its place, unless it asks at another address.
UPDATE lookups
SET due_at = CASE WHEN :failing_since IS NOT NULL AND url = :url AND :due_at > due_at THEN :due_at ELSE due_at END,
    attempts = CASE WHEN :failing_since IS NOT NULL AND :attempts > attempts THEN :attempts ELSE attempts END,
    failing_since = COALESCE(failing_since, :failing_since),
    last_error = COALESCE(last_error, :last_error)
WHERE id = :heir;

-- name: finish_lookup
UPDATE lookups SET state = :state, finished_at = :now, last_error = :last_error, superseded_by = :superseded_by,
                   claimed_by = NULL
WHERE id = :id AND state || '' = 'claimed';

-- name: events_of_lookup
-- In the order in which they came.
SELECT receipt_id, position, event FROM lookup_events WHERE lookup_id = :id AND planned = 0
ORDER BY receipt_id, position LIMIT :limit;

-- name: receipts_of_lookup
SELECT DISTINCT receipt_id FROM lookup_events WHERE lookup_id = :id;

-- name: planned_lookup_event
UPDATE lookup_events SET planned = 1, failed = :failed
WHERE lookup_id = :id AND receipt_id = :receipt_id AND position = :position;

-- name: lookups_of_receipt
SELECT l.id, l.source, l.environment, l.asset_id, l.url, l.state, l.due_at, l.created_at, l.changed_at, l.failing_since,
       l.finished_at, l.attempts, l.last_error, l.superseded_by, MAX(e.failed) AS failed
FROM lookup_events AS e JOIN lookups AS l ON l.id = e.lookup_id WHERE e.receipt_id = :receipt_id
GROUP BY l.id ORDER BY l.id;

-- name: is_waiting
SELECT 1 FROM lookup_events AS e JOIN lookups AS l ON l.id = e.lookup_id
WHERE e.receipt_id = :receipt_id AND l.state IN ('pending', 'claimed') LIMIT 1;

-- name: has_purges
SELECT 1 FROM receipt_purges WHERE receipt_id = :receipt_id LIMIT 1;

-- name: end_wait
UPDATE receipts SET status = :status, reason = :reason WHERE id = :id;

-- name: put_trace
UPDATE receipts SET trace = :trace WHERE id = :id;

-- name: forget_lookups
-- Of a receipt that is planned anew: how its former lookups ended is history.
DELETE FROM lookup_events WHERE receipt_id = :receipt_id AND lookup_id IN (
    SELECT l.id FROM lookup_events AS e JOIN lookups AS l ON l.id = e.lookup_id
    WHERE e.receipt_id = :receipt_id AND l.state NOT IN ('pending', 'claimed'));

-- name: failing_lookups
SELECT source, COUNT(*) AS lookups, MAX(last_error) AS reason FROM lookups
WHERE state = 'pending' AND last_error IS NOT NULL GROUP BY source ORDER BY source;

-- name: orphaned_lookups
SELECT id FROM lookups WHERE source = :source AND state = 'pending' AND due_at > 0 AND created_at < :before
ORDER BY due_at, id LIMIT :limit;

-- name: bury_lookup
UPDATE lookups SET state = 'dead', finished_at = :now, last_error = :last_error WHERE id = :id AND state || '' = 'pending';

-- name: expired_lookups
SELECT id FROM lookups WHERE finished_at < :before ORDER BY finished_at LIMIT :limit;

-- name: prune_events_of_lookup
DELETE FROM lookup_events WHERE lookup_id = :id AND receipt_id IN (
    SELECT receipt_id FROM lookup_events WHERE lookup_id = :id LIMIT :limit);

-- name: prune_lookup_events_of_receipt
DELETE FROM lookup_events WHERE receipt_id = :id AND lookup_id IN (
    SELECT lookup_id FROM lookup_events WHERE receipt_id = :id LIMIT :limit);

-- name: delete_lookup
DELETE FROM lookups WHERE id = :id;
