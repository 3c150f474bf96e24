-- Where two indexes over what waits begin alike, PostgreSQL may take the one that leaves all of a project's rows to be read.
-- These are of use to those statements alone which say what they say: what waits has a time, and what is dead has one too.
DROP INDEX purges_due;
CREATE INDEX purges_due ON purges (project, due_at, id) WHERE state = 'pending' AND due_at > 0;
DROP INDEX purges_died;
CREATE INDEX purges_died ON purges (finished_at) WHERE state = 'dead' AND finished_at IS NOT NULL;
DROP INDEX lookups_due;
CREATE INDEX lookups_due ON lookups (source, due_at, id) WHERE state = 'pending' AND due_at > 0;
