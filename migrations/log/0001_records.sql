-- Which log this is: a random text made with the file, so that a log that was deleted and made again is noticed.
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    identity TEXT NOT NULL
) STRICT;

-- The records of all boundaries in the order in which they became durable. `previous` is the guard: the position of
-- the boundary's record before this one, 0 for its first. Two records can never follow the same one.
CREATE TABLE record (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    boundary TEXT NOT NULL,
    previous INTEGER NOT NULL CHECK (previous < position),
    bytes BLOB NOT NULL,
    UNIQUE (boundary, previous)
) STRICT;
