-- Times are integer milliseconds since the epoch. JSON is text. All but WITHOUT ROWID, which saves an index where the
-- key is the table, exists in PostgreSQL too.

CREATE TABLE receipts (
    id          TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    dedupe      BLOB,                 -- 16 bytes of digest over source and event id; NULL burns nothing
    status      TEXT NOT NULL,
    reason      TEXT,
    scheme      TEXT,
    method      TEXT NOT NULL,
    path        TEXT NOT NULL,        -- never with a credential in it
    headers     TEXT NOT NULL,        -- JSON object, the provider's allow-list
    body        BLOB NOT NULL,
    body_bytes  BIGINT NOT NULL,      -- the length received; more than is kept for a refused request that was large
    received_at BIGINT NOT NULL,
    signed_at   BIGINT,
    seen_at     BIGINT NOT NULL,      -- the latest delivery
    deliveries  INTEGER NOT NULL,
    trace       TEXT NOT NULL         -- JSON: the events read and what each rule made of them
);
CREATE UNIQUE INDEX receipts_dedupe ON receipts (dedupe) WHERE dedupe IS NOT NULL;
CREATE INDEX receipts_refused ON receipts (source, id) WHERE status = 'refused';

CREATE TABLE purges (
    id            TEXT PRIMARY KEY,
    project       TEXT NOT NULL,
    action        TEXT NOT NULL,
    src_image     TEXT NOT NULL,
    deadline      INTEGER NOT NULL,
    state         TEXT NOT NULL,
    due_at        BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    failing_since BIGINT,             -- the first failed call in a row
    finished_at   BIGINT,
    attempts      INTEGER NOT NULL,
    events        INTEGER NOT NULL,   -- how many events it stands for
    last_error    TEXT,
    refused       INTEGER NOT NULL DEFAULT 0,  -- 1: breaks a limit of Vercel's, was stored dead and may never be sent
    superseded_by TEXT,
    claimed_by    TEXT
);
-- One image, one pending purge per project and action: held here, not in code.
CREATE UNIQUE INDEX purges_pending ON purges (project, src_image, action) WHERE state = 'pending';
CREATE INDEX purges_due ON purges (project, due_at, id) WHERE state = 'pending';
CREATE INDEX purges_claimed ON purges (project, src_image) WHERE state = 'claimed';
CREATE INDEX purges_dead ON purges (project, id) WHERE state = 'dead';
CREATE UNIQUE INDEX purges_refused ON purges (project, src_image, action) WHERE state = 'dead' AND refused = 1;
-- For retention, which keeps dead letters longer.
CREATE INDEX purges_finished ON purges (finished_at) WHERE finished_at IS NOT NULL AND state <> 'dead';
CREATE INDEX purges_died ON purges (finished_at) WHERE state = 'dead';

CREATE TABLE receipt_purges (
    receipt_id TEXT NOT NULL,
    purge_id   TEXT NOT NULL,
    rule       TEXT NOT NULL,
    PRIMARY KEY (receipt_id, purge_id)
) WITHOUT ROWID;
CREATE INDEX receipt_purges_purge ON receipt_purges (purge_id);

CREATE TABLE attempts (
    purge_id    TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    at          BIGINT NOT NULL,
    images      INTEGER NOT NULL,     -- how many images the call carried
    status      INTEGER,              -- NULL: no answer came
    outcome     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (purge_id, call_id)
) WITHOUT ROWID;

CREATE TABLE assets (
    source       TEXT NOT NULL,
    environment  TEXT NOT NULL,       -- '' where the sender has none
    asset_id     TEXT NOT NULL,
    urls         TEXT NOT NULL,       -- JSON list, current
    earlier_urls TEXT NOT NULL,       -- JSON list, newest first
    content_hash TEXT,
    occurred_at  BIGINT,
    gone         INTEGER NOT NULL,
    updated_at   BIGINT NOT NULL,     -- when the request came in that told of this state
    PRIMARY KEY (source, environment, asset_id)
) WITHOUT ROWID;

CREATE TABLE tokens (
    scope       TEXT NOT NULL,        -- project | team
    name        TEXT NOT NULL,
    ciphertext  BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;

CREATE TABLE holds (
    project     TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,        -- auto | manual
    reason      TEXT NOT NULL,
    credential  TEXT NOT NULL,        -- fingerprint of the token it was held with, '' for none
    since       BIGINT NOT NULL,
    probe_at    BIGINT NOT NULL
);

CREATE TABLE quotas (
    credential    TEXT PRIMARY KEY,   -- fingerprint: the rate budget belongs to the token
    blocked_until BIGINT NOT NULL
);
