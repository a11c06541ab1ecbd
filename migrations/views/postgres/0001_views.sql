-- Everything here is derived from the log and may be deleted at any time. Each version of the program has a schema of its
-- own for it, so these files may change: another text is another schema.
-- Derived rows carry a generation: a rebuild fills a new one and then flips `projection`. Generations are never reused.

-- Which generation is read.
CREATE TABLE projection (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    live BIGINT NOT NULL
);

-- The checkpoint of each generation: the last record it holds and that record's digest. `views_version` is the
-- version of the code that filled it. A retired generation is being deleted.
CREATE TABLE generation (
    generation BIGINT PRIMARY KEY,
    views_version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    retired BIGINT NOT NULL
);

-- The end of each boundary's chain, and its newest change.
CREATE TABLE boundary (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (generation, boundary)
);

-- Entities in time: each body with the versions [from_version, to_version) in which it was valid. A row that is valid
-- now ends at the largest number. Secrets stand in `sealed`, under the keys of the log.
CREATE TABLE entity (
    generation BIGINT NOT NULL,
    group_id BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    entity_id BYTEA NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT NOT NULL,
    expires_at BIGINT,
    body TEXT COLLATE "C" NOT NULL,
    sealed BYTEA,
    PRIMARY KEY (generation, group_id, kind, entity_id, from_version)
);

CREATE UNIQUE INDEX entity_current ON entity (generation, group_id, kind, entity_id)
    WHERE to_version = 9223372036854775807;

-- What entities are found by, in time: unique keys (hashed under the group's data key), tags and references. The
-- end of validity stands before the entity, so that the rows valid now lie together in the order of ids.
CREATE TABLE entity_key (
    generation BIGINT NOT NULL,
    group_id BYTEA NOT NULL,
    search_key BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    to_version BIGINT NOT NULL,
    entity_id BYTEA NOT NULL,
    from_version BIGINT NOT NULL,
    PRIMARY KEY (generation, group_id, search_key, kind, to_version, entity_id)
);

CREATE INDEX entity_key_current ON entity_key (generation, group_id, kind, entity_id)
    WHERE to_version = 9223372036854775807;

-- How many entities of each kind a group has now.
CREATE TABLE entity_count (
    generation BIGINT NOT NULL,
    group_id BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    entities BIGINT NOT NULL,
    PRIMARY KEY (generation, group_id, kind)
);

-- The changes of every boundary: who, when, why and what, without bodies. `what` is a list of event summaries.
CREATE TABLE change (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    position BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    request_id BYTEA,
    source TEXT COLLATE "C",
    events BIGINT NOT NULL,
    what BYTEA NOT NULL,
    PRIMARY KEY (generation, boundary, version)
);

CREATE INDEX change_at ON change (generation, boundary, at, version);

CREATE TABLE organization (
    generation BIGINT NOT NULL,
    organization_id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, organization_id)
);

-- Runtime groups, the deleted ones included.
CREATE TABLE runtime_group (
    generation BIGINT NOT NULL,
    organization_id BYTEA NOT NULL,
    group_id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    record TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, organization_id, group_id)
);

CREATE INDEX runtime_group_name ON runtime_group (generation, organization_id, name);

-- Access tokens, the revoked ones included: hashes only.
CREATE TABLE token (
    generation BIGINT NOT NULL,
    organization_id BYTEA NOT NULL,
    token_id BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    record BYTEA NOT NULL,
    PRIMARY KEY (generation, organization_id, token_id)
);

CREATE INDEX token_hash ON token (generation, hash);

-- Stored states: folded aggregates for a fast start. A cache of the fold.
CREATE TABLE stored_state (
    boundary TEXT COLLATE "C" PRIMARY KEY,
    state_version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    bytes BYTEA NOT NULL
);
