-- Everything here but `observed_node` is derived from the log and may be deleted at any time (DESIGN §6).
-- Derived rows carry a generation: a rebuild fills a new one and then flips `projection`. Generations are never reused.

-- Which generation is read.
CREATE TABLE projection (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    live INTEGER NOT NULL
) STRICT;

-- The checkpoint of each generation: the last record it holds and that record's digest. `views_version` is the
-- version of the code that filled it. A retired generation is being deleted.
CREATE TABLE generation (
    generation INTEGER PRIMARY KEY,
    views_version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    retired INTEGER NOT NULL
) STRICT;

-- The end of each boundary's chain, and its newest change.
CREATE TABLE boundary (
    generation INTEGER NOT NULL,
    boundary TEXT NOT NULL,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (generation, boundary)
) STRICT, WITHOUT ROWID;

-- Entities in time: each body with the versions [from_version, to_version) in which it was valid. A row that is valid
-- now ends at the largest number. Secrets stand in `sealed`, under the keys of the log.
CREATE TABLE entity (
    generation INTEGER NOT NULL,
    group_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    entity_id BLOB NOT NULL,
    from_version INTEGER NOT NULL,
    to_version INTEGER NOT NULL,
    expires_at INTEGER,
    body TEXT NOT NULL,
    sealed BLOB,
    PRIMARY KEY (generation, group_id, kind, entity_id, from_version)
) STRICT;

CREATE UNIQUE INDEX entity_current ON entity (generation, group_id, kind, entity_id)
    WHERE to_version = 9223372036854775807;

-- What entities are found by, in time: unique keys (hashed under the group's data key), tags and references. The
-- end of validity stands before the entity, so that the rows valid now lie together in the order of ids.
CREATE TABLE entity_key (
    generation INTEGER NOT NULL,
    group_id BLOB NOT NULL,
    search_key BLOB NOT NULL,
    kind TEXT NOT NULL,
    to_version INTEGER NOT NULL,
    entity_id BLOB NOT NULL,
    from_version INTEGER NOT NULL,
    PRIMARY KEY (generation, group_id, search_key, kind, to_version, entity_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX entity_key_current ON entity_key (generation, group_id, kind, entity_id)
    WHERE to_version = 9223372036854775807;

-- How many entities of each kind a group has now.
CREATE TABLE entity_count (
    generation INTEGER NOT NULL,
    group_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    entities INTEGER NOT NULL,
    PRIMARY KEY (generation, group_id, kind)
) STRICT, WITHOUT ROWID;

-- The changes of every boundary: who, when, why and what, without bodies. `what` is a list of event summaries.
CREATE TABLE change (
    generation INTEGER NOT NULL,
    boundary TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    position INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    request_id BLOB,
    source TEXT,
    events INTEGER NOT NULL,
    what BLOB NOT NULL,
    PRIMARY KEY (generation, boundary, version)
) STRICT;

CREATE INDEX change_at ON change (generation, boundary, at, version);

CREATE TABLE organization (
    generation INTEGER NOT NULL,
    organization_id BLOB NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (generation, organization_id)
) STRICT, WITHOUT ROWID;

-- Runtime groups, the deleted ones included.
CREATE TABLE runtime_group (
    generation INTEGER NOT NULL,
    organization_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (generation, organization_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX runtime_group_name ON runtime_group (generation, organization_id, name);

-- Access tokens, the revoked ones included: hashes only.
CREATE TABLE token (
    generation INTEGER NOT NULL,
    organization_id BLOB NOT NULL,
    token_id BLOB NOT NULL,
    hash BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (generation, organization_id, token_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX token_hash ON token (generation, hash);

-- Stored states: folded aggregates for a fast start. A cache of the fold.
CREATE TABLE stored_state (
    boundary TEXT PRIMARY KEY,
    state_version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was observed of runtime instances: not derived from the log, and exempt from rebuilding.
CREATE TABLE observed_node (
    group_id BLOB NOT NULL,
    node_id BLOB NOT NULL,
    last_seen INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (group_id, node_id)
) STRICT, WITHOUT ROWID;
