-- What changes are found by: who made them, what they touched, what they say. A term is a hash. `versions` names those of
-- the block's 256 changes that have it, two hexadecimal digits each: one short row where 256 would stand, and a row
-- that is appended to.
CREATE TABLE change_term (
    generation INTEGER NOT NULL,
    boundary TEXT NOT NULL,
    term BLOB NOT NULL,
    block INTEGER NOT NULL,
    versions TEXT NOT NULL,
    PRIMARY KEY (generation, boundary, term, block)
) STRICT, WITHOUT ROWID;

-- `change.what` has the first event summaries, as many as a list shows; the others follow here, many to a row.
CREATE TABLE change_events (
    generation INTEGER NOT NULL,
    boundary TEXT NOT NULL,
    version INTEGER NOT NULL,
    first_event INTEGER NOT NULL,
    what BLOB NOT NULL,
    PRIMARY KEY (generation, boundary, version, first_event)
) STRICT;
