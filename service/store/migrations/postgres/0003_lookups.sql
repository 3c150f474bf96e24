-- Assets whose URLs are asked for at the sender's API, because its webhook had an id alone.

CREATE TABLE lookups (
    id            TEXT COLLATE "C" PRIMARY KEY,
    source        TEXT NOT NULL,
    environment   TEXT NOT NULL,        -- '' where the sender has none
    asset_id      TEXT NOT NULL,
    url           TEXT NOT NULL,        -- without any secret
    url_of        TEXT NOT NULL,        -- the receipt that gave the address
    state         TEXT NOT NULL,
    due_at        BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    changed_at    BIGINT NOT NULL,      -- when its latest event came
    failing_since BIGINT,
    finished_at   BIGINT,
    attempts      INTEGER NOT NULL,
    last_error    TEXT,
    superseded_by TEXT COLLATE "C",
    claimed_by    TEXT
);
-- One asset, one pending lookup: a later event joins it.
CREATE UNIQUE INDEX lookups_pending ON lookups (source, environment, asset_id) WHERE state = 'pending';
CREATE INDEX lookups_due ON lookups (source, due_at, id) WHERE state = 'pending';
CREATE INDEX lookups_claimed ON lookups (source, environment, asset_id) WHERE state = 'claimed';
CREATE INDEX lookups_failing ON lookups (source, last_error) WHERE state = 'pending' AND last_error IS NOT NULL;
CREATE INDEX lookups_finished ON lookups (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE lookup_events (
    lookup_id  TEXT COLLATE "C" NOT NULL,
    receipt_id TEXT COLLATE "C" NOT NULL,
    position   INTEGER NOT NULL,        -- in the receipt's body
    event      TEXT NOT NULL,           -- JSON, as the sender told it
    planned    INTEGER NOT NULL,        -- 1: the rules have seen it with its URLs
    failed     TEXT,                    -- what a rule said that failed on it
    PRIMARY KEY (lookup_id, receipt_id, position)
);
CREATE INDEX lookup_events_receipt ON lookup_events (receipt_id);
