-- Statements both databases share. Times are milliseconds.

-- Statements over `VALUES :rows` take as many rows as a group of requests has; see rowsets.py.

-- What waits is the small part of a large table, and comes in bursts. PostgreSQL believes for long that nothing waits,
-- since it looked when nothing did, and would read all that waits for each row or each call. So that what it believes
-- makes no difference, "there is one" is a subquery with a LIMIT, which it cannot turn into a join, and rows whose ids
-- are known are asked for their state as `state || ''`, for which no index over what waits is of use. The indexes that sort
-- by time hold what has `due_at > 0`, as all have: none but statements that say so are to use them.

-- name: insert_receipts
INSERT INTO receipts (id, source, dedupe, status, reason, scheme, method, path, headers, body, body_bytes,
                      received_at, signed_at, seen_at, deliveries, trace)
VALUES :rows;

-- name: count_deliveries
UPDATE receipts SET deliveries = deliveries + :more, seen_at = :now WHERE id = :id;

-- name: update_receipt
UPDATE receipts SET status = :status, reason = :reason, scheme = :scheme, signed_at = :signed_at, dedupe = :dedupe,
                    trace = :trace
WHERE id = :id;

-- name: receipts_of_dedupes
WITH wanted (dedupe) AS (VALUES :rows)
SELECT r.dedupe, r.id FROM wanted CROSS JOIN receipts AS r WHERE r.dedupe = wanted.dedupe;

-- name: get_receipt
SELECT id, source, status, reason, scheme, method, path, headers, body, body_bytes, received_at, signed_at, seen_at,
       deliveries, trace
FROM receipts WHERE id = :id;

-- name: list_receipts
SELECT id, source, status, reason, scheme, method, path, headers, body_bytes, received_at, signed_at, seen_at,
       deliveries, trace
FROM receipts
WHERE (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status) AND (:before IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: trim_refused
-- Keep the newest :keep refused requests of a source.
DELETE FROM receipts WHERE source = :source AND status = 'refused' AND id < (
    SELECT id FROM receipts WHERE source = :source AND status = 'refused' ORDER BY id DESC LIMIT 1 OFFSET :keep - 1
);

-- name: supersede_pending_invalidate
UPDATE purges SET state = 'superseded', superseded_by = :by, finished_at = :now
WHERE project = :project AND src_image = :src_image AND action = 'invalidate' AND state = 'pending';

-- name: absorb_into_pending_deletes
-- A pending delete does all that an invalidate would. Its time changes as upsert_purges says.
WITH wanted (project, src_image, due, now, events) AS (VALUES :rows)
UPDATE purges
SET events = purges.events + wanted.events,
    due_at = CASE
        WHEN purges.failing_since IS NOT NULL THEN purges.due_at
        WHEN :settle = 0 AND purges.due_at > wanted.now THEN wanted.now
        WHEN purges.due_at >= wanted.due THEN purges.due_at
        WHEN purges.created_at + 5 * :settle >= wanted.due THEN wanted.due
        WHEN purges.created_at + 5 * :settle > purges.due_at THEN purges.created_at + 5 * :settle
        ELSE purges.due_at END
FROM wanted
WHERE purges.state || '' = 'pending' AND purges.id = (
    SELECT p.id FROM purges AS p
    WHERE p.project = wanted.project AND p.src_image = wanted.src_image AND p.action = 'delete' AND p.state = 'pending'
    LIMIT 1)
RETURNING purges.id, purges.project, purges.src_image;

-- name: upsert_purges
-- Joins the pending purge of the same image, if there is one: the shorter deadline wins, and each event restarts the
-- settling time, never past five times its length. No settling time makes it due now, unless it is due already: it
-- keeps its place. One that is backing off keeps its time, too. All rows have the same :settle.
INSERT INTO purges (id, project, action, src_image, deadline, state, due_at, created_at, attempts, events)
VALUES :rows
ON CONFLICT (project, src_image, action) WHERE state = 'pending'
DO UPDATE SET
    events = purges.events + excluded.events,
    deadline = CASE WHEN excluded.deadline < purges.deadline THEN excluded.deadline ELSE purges.deadline END,
    due_at = CASE
        WHEN purges.failing_since IS NOT NULL THEN purges.due_at
        WHEN :settle = 0 AND purges.due_at > excluded.created_at THEN excluded.created_at
        WHEN purges.due_at >= excluded.due_at THEN purges.due_at
        WHEN purges.created_at + 5 * :settle >= excluded.due_at THEN excluded.due_at
        WHEN purges.created_at + 5 * :settle > purges.due_at THEN purges.created_at + 5 * :settle
        ELSE purges.due_at END;

-- name: upsert_refused_purges
-- What may never be sent is kept where it is seen: once an image, however often it is asked for.
INSERT INTO purges (id, project, action, src_image, deadline, state, due_at, created_at, attempts, events, finished_at,
                    last_error, refused)
VALUES :rows
ON CONFLICT (project, src_image, action) WHERE state = 'dead' AND refused = 1
DO UPDATE SET events = purges.events + excluded.events, finished_at = excluded.finished_at,
              last_error = excluded.last_error
RETURNING id, project, src_image;

-- name: link_purges
INSERT INTO receipt_purges (receipt_id, purge_id, rule) VALUES :rows
ON CONFLICT DO NOTHING;

-- name: recall_assets
WITH wanted (source, environment, asset_id) AS (VALUES :rows)
SELECT a.source, a.environment, a.asset_id, a.urls, a.earlier_urls, a.content_hash, a.occurred_at, a.gone, a.sequence,
       a.updated_at
FROM wanted CROSS JOIN assets AS a
WHERE a.source = wanted.source AND a.environment = wanted.environment AND a.asset_id = wanted.asset_id;

-- name: put_assets
INSERT INTO assets (source, environment, asset_id, urls, earlier_urls, content_hash, occurred_at, gone, sequence,
                    updated_at)
VALUES :rows
ON CONFLICT (source, environment, asset_id)
DO UPDATE SET urls = excluded.urls, earlier_urls = excluded.earlier_urls, content_hash = excluded.content_hash,
              occurred_at = excluded.occurred_at, gone = excluded.gone, sequence = excluded.sequence,
              updated_at = CASE WHEN excluded.updated_at > assets.updated_at THEN excluded.updated_at
                                ELSE assets.updated_at END;

-- name: learn_asset
INSERT INTO assets (source, environment, asset_id, urls, earlier_urls, gone, updated_at)
VALUES (:source, :environment, :asset_id, :urls, '[]', 0, :now);

-- name: add_earlier_urls
UPDATE assets SET earlier_urls = :earlier_urls
WHERE source = :source AND environment = :environment AND asset_id = :asset_id;

-- name: find_assets
SELECT source, environment, asset_id, urls, earlier_urls, content_hash, occurred_at, gone, sequence, updated_at
FROM assets
WHERE source = :source AND asset_id = :asset_id ORDER BY environment;

-- name: next_due_at
-- An image that is in a call waits for that call's end, which nobody knows yet.
SELECT due_at FROM purges AS p
WHERE project = :project AND state = 'pending' AND due_at > 0
  AND (SELECT 1 FROM purges AS c
       WHERE c.project = p.project AND c.src_image = p.src_image AND c.state = 'claimed' LIMIT 1) IS NULL
ORDER BY due_at, id LIMIT 1;

-- name: head_of_lane
-- The purge whose turn it is; an image that is in a call waits for that call's end, so its order is kept.
SELECT action, deadline FROM purges AS p
WHERE project = :project AND state = 'pending' AND due_at > 0 AND due_at <= :now
  AND (SELECT 1 FROM purges AS c
       WHERE c.project = p.project AND c.src_image = p.src_image AND c.state = 'claimed' LIMIT 1) IS NULL
ORDER BY due_at, id LIMIT 1;

-- name: put_back
UPDATE purges SET state = 'pending', due_at = :due_at, last_error = :last_error, claimed_by = NULL,
                  failing_since = :failing_since, finished_at = NULL, events = events + :events
WHERE id = :id AND state || '' = :was AND attempts = :attempts;

-- name: merge_into_pending
-- The heir of a purge that is backing off backs off in its place.
UPDATE purges
SET events = events + :events,
    deadline = CASE WHEN :deadline < deadline THEN :deadline ELSE deadline END,
    due_at = CASE WHEN :failing_since IS NOT NULL AND :due_at > due_at THEN :due_at ELSE due_at END,
    attempts = CASE WHEN :failing_since IS NOT NULL AND :attempts > attempts THEN :attempts ELSE attempts END,
    failing_since = COALESCE(failing_since, :failing_since)
WHERE id = :id;

-- name: pending_of_image
SELECT id, action, due_at, events FROM purges
WHERE project = :project AND src_image = :src_image AND state = 'pending';

-- name: finish_purge
UPDATE purges SET state = :state, finished_at = :now, last_error = :last_error, superseded_by = :superseded_by,
                  claimed_by = NULL
WHERE id = :id AND state || '' = :was AND attempts = :attempts;

-- name: claimed_purges
SELECT id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
       last_error, superseded_by
FROM purges WHERE project = :project AND state = 'claimed';

-- name: finish_claimed
WITH wanted (id, attempts, state, last_error) AS (VALUES :rows)
UPDATE purges SET state = wanted.state, finished_at = :now, last_error = wanted.last_error, claimed_by = NULL
FROM wanted
WHERE purges.id = wanted.id AND purges.state || '' = 'claimed' AND purges.attempts = wanted.attempts;

-- name: insert_attempts
INSERT INTO attempts (purge_id, call_id, at, images, status, outcome, reason, duration_ms)
VALUES :rows
ON CONFLICT DO NOTHING;

-- name: get_purge
SELECT id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
       last_error, superseded_by
FROM purges WHERE id = :id;

-- name: list_purges
SELECT id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
       last_error, superseded_by
FROM purges
WHERE (:project IS NULL OR project = :project) AND (:state IS NULL OR state = :state)
  AND (:src_image IS NULL OR src_image = :src_image) AND (:before IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: purges_of_receipt
SELECT p.id, p.project, p.action, p.src_image, p.deadline, p.state, p.due_at, p.created_at, p.failing_since, p.finished_at,
       p.attempts, p.events, p.last_error, p.superseded_by, l.rule
FROM receipt_purges AS l JOIN purges AS p ON p.id = l.purge_id WHERE l.receipt_id = :receipt_id ORDER BY p.id;

-- name: receipts_of_purge
SELECT r.id, r.source, r.status, r.received_at, l.rule
FROM receipt_purges AS l JOIN receipts AS r ON r.id = l.receipt_id WHERE l.purge_id = :purge_id ORDER BY r.id LIMIT 100;

-- name: attempts_of_purge
SELECT call_id, at, images, status, outcome, reason, duration_ms FROM attempts WHERE purge_id = :purge_id
ORDER BY at, call_id;

-- name: count_purges
-- In three parts, each of which has an index of its own: what is done is never looked at.
SELECT project, 'pending' AS state, COUNT(*) AS purges, MIN(created_at) AS oldest FROM purges
WHERE state = 'pending' GROUP BY project
UNION ALL
SELECT project, 'claimed', COUNT(*), MIN(created_at) FROM purges WHERE state = 'claimed' GROUP BY project
UNION ALL
SELECT project, 'dead', COUNT(*), MIN(created_at) FROM purges WHERE state = 'dead' GROUP BY project;

-- name: pending_projects
-- One step along the index a project, instead of a scan over everything that waits.
WITH RECURSIVE lane(project) AS (
    SELECT MIN(project) FROM purges WHERE state = 'pending'
    UNION ALL
    SELECT (SELECT MIN(project) FROM purges WHERE state = 'pending' AND project > lane.project) FROM lane
    WHERE lane.project IS NOT NULL)
SELECT project FROM lane WHERE project IS NOT NULL;

-- name: uncount_attempt
UPDATE purges SET attempts = attempts - 1 WHERE id = :id AND attempts > 0;

-- name: is_refused
SELECT refused FROM purges WHERE id = :id;

-- name: dead_of_project
SELECT id, project, action, src_image, deadline, state, due_at, created_at, failing_since, finished_at, attempts, events,
       last_error, superseded_by
FROM purges WHERE project = :project AND state = 'dead' AND refused = 0 ORDER BY id LIMIT :limit;

-- name: make_due
UPDATE purges SET due_at = :now WHERE id = :id AND due_at > :now;

-- name: bury_orphans
-- A step of it: who waits for the database waits for no longer than that takes.
UPDATE purges SET state = 'dead', finished_at = :now, last_error = :last_error
WHERE state || '' = 'pending' AND id IN (
    SELECT id FROM purges WHERE project = :project AND state = 'pending' AND created_at < :before LIMIT :limit);

-- name: put_token
INSERT INTO tokens (scope, name, ciphertext, fingerprint, updated_at)
VALUES (:scope, :name, :ciphertext, :fingerprint, :now)
ON CONFLICT (scope, name)
DO UPDATE SET ciphertext = excluded.ciphertext, fingerprint = excluded.fingerprint, updated_at = excluded.updated_at;

-- name: get_token
SELECT scope, name, ciphertext, fingerprint, updated_at FROM tokens WHERE scope = :scope AND name = :name;

-- name: list_tokens
SELECT scope, name, ciphertext, fingerprint, updated_at FROM tokens ORDER BY scope, name;

-- name: rewrite_token
UPDATE tokens SET ciphertext = :ciphertext WHERE scope = :scope AND name = :name;

-- name: remove_token
DELETE FROM tokens WHERE scope = :scope AND name = :name;

-- name: put_hold
INSERT INTO holds (project, kind, reason, credential, since, probe_at)
VALUES (:project, :kind, :reason, :credential, :now, :probe_at)
ON CONFLICT (project)
DO UPDATE SET kind = excluded.kind, reason = excluded.reason, credential = excluded.credential, probe_at = excluded.probe_at,
              since = CASE WHEN holds.kind = excluded.kind THEN holds.since ELSE excluded.since END
WHERE holds.kind = 'auto' OR excluded.kind = 'manual';

-- name: remove_hold
DELETE FROM holds WHERE project = :project;

-- name: release_auto_hold
DELETE FROM holds WHERE project = :project AND kind = 'auto';

-- name: list_holds
SELECT project, kind, reason, credential, since, probe_at FROM holds ORDER BY project;

-- name: put_quota
INSERT INTO quotas (credential, blocked_until) VALUES (:credential, :until)
ON CONFLICT (credential)
DO UPDATE SET blocked_until = excluded.blocked_until WHERE excluded.blocked_until > quotas.blocked_until;

-- name: list_quotas
SELECT credential, blocked_until FROM quotas WHERE blocked_until > :now;

-- name: prune_quotas
DELETE FROM quotas WHERE blocked_until <= :now;

-- Retention. Each statement removes at most :limit rows, oldest first, and finds them by an index.

-- name: expired_purges
SELECT id FROM purges WHERE state <> 'dead' AND finished_at < :before ORDER BY finished_at LIMIT :limit;

-- name: expired_dead_purges
SELECT id FROM purges WHERE state = 'dead' AND finished_at < :before ORDER BY finished_at LIMIT :limit;

-- name: expired_receipts
-- By id, which sorts by time. What a lookup is still going to plan stays.
SELECT id FROM receipts AS r
WHERE id < :before_id
  AND (SELECT 1 FROM lookup_events AS e JOIN lookups AS l ON l.id = e.lookup_id
       WHERE e.receipt_id = r.id AND e.planned = 0 AND l.state IN ('pending', 'claimed') LIMIT 1) IS NULL
ORDER BY id LIMIT :limit;

-- name: prune_attempts
DELETE FROM attempts WHERE purge_id = :id AND call_id IN (
    SELECT call_id FROM attempts WHERE purge_id = :id LIMIT :limit);

-- name: prune_links_of_purge
DELETE FROM receipt_purges WHERE purge_id = :id AND receipt_id IN (
    SELECT receipt_id FROM receipt_purges WHERE purge_id = :id LIMIT :limit);

-- name: prune_links_of_receipt
DELETE FROM receipt_purges WHERE receipt_id = :id AND purge_id IN (
    SELECT purge_id FROM receipt_purges WHERE receipt_id = :id LIMIT :limit);

-- name: delete_purge
DELETE FROM purges WHERE id = :id;

-- name: delete_receipt
DELETE FROM receipts WHERE id = :id;

-- name: keep_traces
INSERT INTO traces (receipt_id, traceparent) VALUES :rows
ON CONFLICT DO NOTHING;

-- name: traces_of_purges
-- Of an image with thousands of events, some will do.
WITH wanted (purge_id) AS (VALUES :rows)
SELECT t.receipt_id, t.traceparent
FROM wanted CROSS JOIN receipt_purges AS l CROSS JOIN traces AS t
WHERE l.purge_id = wanted.purge_id AND t.receipt_id = l.receipt_id LIMIT 64;

-- name: prune_trace_of_receipt
DELETE FROM traces WHERE receipt_id = :id;
