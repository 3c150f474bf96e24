-- The sender's own number of the state that is remembered, in a spelling that sorts; NULL where it has none.
ALTER TABLE assets ADD COLUMN sequence TEXT;
