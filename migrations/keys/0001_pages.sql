-- Data keys, up to 1,000 to a page, sealed with the master key. `revision` guards against two writers of one page.
CREATE TABLE page (
    boundary TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 0),
    revision INTEGER NOT NULL CHECK (revision > 0),
    sealed BLOB NOT NULL,
    PRIMARY KEY (boundary, number)
) STRICT, WITHOUT ROWID;

-- A known text sealed with the master key: a key that doesn't open it is the wrong one.
CREATE TABLE check_value (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sealed BLOB NOT NULL
) STRICT;
