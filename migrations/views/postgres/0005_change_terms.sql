-- What changes are found by: who made them, what they touched, what they say. A term is a hash. `versions` names those of
-- the block's 256 changes that have it, two hexadecimal digits each: one short row where 256 would stand, and a row
-- that is appended to.
CREATE TABLE change_term (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    term BYTEA NOT NULL,
    block BIGINT NOT NULL,
    versions TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, boundary, term, block)
);

-- `change.what` has the first event summaries, as many as a list shows; the others follow here, many to a row.
CREATE TABLE change_events (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    what BYTEA NOT NULL,
    PRIMARY KEY (generation, boundary, version, first_event)
);
