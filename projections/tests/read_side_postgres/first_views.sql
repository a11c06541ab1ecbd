
CREATE TABLE projection (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    live BIGINT NOT NULL
);

CREATE TABLE generation (
    generation BIGINT PRIMARY KEY,
    views_version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    retired BIGINT NOT NULL
);

CREATE TABLE boundary (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (generation, boundary)
);

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

CREATE TABLE entity_count (
    generation BIGINT NOT NULL,
    group_id BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    entities BIGINT NOT NULL,
    PRIMARY KEY (generation, group_id, kind)
);

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

CREATE TABLE token (
    generation BIGINT NOT NULL,
    organization_id BYTEA NOT NULL,
    token_id BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    record BYTEA NOT NULL,
    PRIMARY KEY (generation, organization_id, token_id)
);

CREATE INDEX token_hash ON token (generation, hash);

CREATE TABLE stored_state (
    boundary TEXT COLLATE "C" PRIMARY KEY,
    state_version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    bytes BYTEA NOT NULL
);

CREATE TABLE observed_node (
    group_id BYTEA NOT NULL,
    node_id BYTEA NOT NULL,
    last_seen BIGINT NOT NULL,
    record TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, node_id)
);
ALTER TABLE generation ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

CREATE TABLE projector_lease (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    holder TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

INSERT INTO projector_lease (one, holder, epoch, expires_at) VALUES (1, '', 0, '-infinity');
CREATE TABLE certificate_claim (
    generation BIGINT NOT NULL,
    fingerprint BYTEA NOT NULL,
    organization_id BYTEA NOT NULL,
    group_id BYTEA NOT NULL,
    held BIGINT NOT NULL,
    PRIMARY KEY (generation, fingerprint)
);

CREATE TABLE node_certificate (
    generation BIGINT NOT NULL,
    organization_id BYTEA NOT NULL,
    group_id BYTEA NOT NULL,
    certificate_id BYTEA NOT NULL,
    fingerprint BYTEA NOT NULL,
    is_ca BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    record BYTEA NOT NULL,
    PRIMARY KEY (generation, organization_id, group_id, certificate_id)
);

CREATE INDEX node_certificate_fingerprint ON node_certificate (generation, fingerprint);
CREATE INDEX node_certificate_authority ON node_certificate (generation) WHERE is_ca = 1 AND removed = 0;
CREATE INDEX node_certificate_expiry ON node_certificate (generation, not_after) WHERE removed = 0;
ALTER TABLE entity ADD COLUMN fork BIGINT GENERATED ALWAYS AS (
    CASE
        WHEN to_version = 9223372036854775807 THEN NULL
        WHEN (from_version - 1) >> 1 = (to_version - 1) >> 1 THEN (to_version - 1)
        WHEN (from_version - 1) >> 2 = (to_version - 1) >> 2 THEN (to_version - 1) & -2
        WHEN (from_version - 1) >> 3 = (to_version - 1) >> 3 THEN (to_version - 1) & -4
        WHEN (from_version - 1) >> 4 = (to_version - 1) >> 4 THEN (to_version - 1) & -8
        WHEN (from_version - 1) >> 5 = (to_version - 1) >> 5 THEN (to_version - 1) & -16
        WHEN (from_version - 1) >> 6 = (to_version - 1) >> 6 THEN (to_version - 1) & -32
        WHEN (from_version - 1) >> 7 = (to_version - 1) >> 7 THEN (to_version - 1) & -64
        WHEN (from_version - 1) >> 8 = (to_version - 1) >> 8 THEN (to_version - 1) & -128
        WHEN (from_version - 1) >> 9 = (to_version - 1) >> 9 THEN (to_version - 1) & -256
        WHEN (from_version - 1) >> 10 = (to_version - 1) >> 10 THEN (to_version - 1) & -512
        WHEN (from_version - 1) >> 11 = (to_version - 1) >> 11 THEN (to_version - 1) & -1024
        WHEN (from_version - 1) >> 12 = (to_version - 1) >> 12 THEN (to_version - 1) & -2048
        WHEN (from_version - 1) >> 13 = (to_version - 1) >> 13 THEN (to_version - 1) & -4096
        WHEN (from_version - 1) >> 14 = (to_version - 1) >> 14 THEN (to_version - 1) & -8192
        WHEN (from_version - 1) >> 15 = (to_version - 1) >> 15 THEN (to_version - 1) & -16384
        WHEN (from_version - 1) >> 16 = (to_version - 1) >> 16 THEN (to_version - 1) & -32768
        WHEN (from_version - 1) >> 17 = (to_version - 1) >> 17 THEN (to_version - 1) & -65536
        WHEN (from_version - 1) >> 18 = (to_version - 1) >> 18 THEN (to_version - 1) & -131072
        WHEN (from_version - 1) >> 19 = (to_version - 1) >> 19 THEN (to_version - 1) & -262144
        WHEN (from_version - 1) >> 20 = (to_version - 1) >> 20 THEN (to_version - 1) & -524288
        WHEN (from_version - 1) >> 21 = (to_version - 1) >> 21 THEN (to_version - 1) & -1048576
        WHEN (from_version - 1) >> 22 = (to_version - 1) >> 22 THEN (to_version - 1) & -2097152
        WHEN (from_version - 1) >> 23 = (to_version - 1) >> 23 THEN (to_version - 1) & -4194304
        WHEN (from_version - 1) >> 24 = (to_version - 1) >> 24 THEN (to_version - 1) & -8388608
        WHEN (from_version - 1) >> 25 = (to_version - 1) >> 25 THEN (to_version - 1) & -16777216
        WHEN (from_version - 1) >> 26 = (to_version - 1) >> 26 THEN (to_version - 1) & -33554432
        WHEN (from_version - 1) >> 27 = (to_version - 1) >> 27 THEN (to_version - 1) & -67108864
        WHEN (from_version - 1) >> 28 = (to_version - 1) >> 28 THEN (to_version - 1) & -134217728
        WHEN (from_version - 1) >> 29 = (to_version - 1) >> 29 THEN (to_version - 1) & -268435456
        WHEN (from_version - 1) >> 30 = (to_version - 1) >> 30 THEN (to_version - 1) & -536870912
        WHEN (from_version - 1) >> 31 = (to_version - 1) >> 31 THEN (to_version - 1) & -1073741824
        WHEN (from_version - 1) >> 32 = (to_version - 1) >> 32 THEN (to_version - 1) & -2147483648
        WHEN (from_version - 1) >> 33 = (to_version - 1) >> 33 THEN (to_version - 1) & -4294967296
        WHEN (from_version - 1) >> 34 = (to_version - 1) >> 34 THEN (to_version - 1) & -8589934592
        WHEN (from_version - 1) >> 35 = (to_version - 1) >> 35 THEN (to_version - 1) & -17179869184
        WHEN (from_version - 1) >> 36 = (to_version - 1) >> 36 THEN (to_version - 1) & -34359738368
        WHEN (from_version - 1) >> 37 = (to_version - 1) >> 37 THEN (to_version - 1) & -68719476736
        WHEN (from_version - 1) >> 38 = (to_version - 1) >> 38 THEN (to_version - 1) & -137438953472
        WHEN (from_version - 1) >> 39 = (to_version - 1) >> 39 THEN (to_version - 1) & -274877906944
        WHEN (from_version - 1) >> 40 = (to_version - 1) >> 40 THEN (to_version - 1) & -549755813888
        ELSE 0
    END
) STORED;

CREATE INDEX entity_past ON entity (generation, group_id, kind, fork, to_version, entity_id, from_version)
    WHERE to_version < 9223372036854775807;

DROP INDEX entity_current;
CREATE INDEX entity_current ON entity (generation, group_id, kind, entity_id, from_version)
    WHERE to_version = 9223372036854775807;

ALTER TABLE entity_key ADD COLUMN fork BIGINT GENERATED ALWAYS AS (
    CASE
        WHEN to_version = 9223372036854775807 THEN NULL
        WHEN (from_version - 1) >> 1 = (to_version - 1) >> 1 THEN (to_version - 1)
        WHEN (from_version - 1) >> 2 = (to_version - 1) >> 2 THEN (to_version - 1) & -2
        WHEN (from_version - 1) >> 3 = (to_version - 1) >> 3 THEN (to_version - 1) & -4
        WHEN (from_version - 1) >> 4 = (to_version - 1) >> 4 THEN (to_version - 1) & -8
        WHEN (from_version - 1) >> 5 = (to_version - 1) >> 5 THEN (to_version - 1) & -16
        WHEN (from_version - 1) >> 6 = (to_version - 1) >> 6 THEN (to_version - 1) & -32
        WHEN (from_version - 1) >> 7 = (to_version - 1) >> 7 THEN (to_version - 1) & -64
        WHEN (from_version - 1) >> 8 = (to_version - 1) >> 8 THEN (to_version - 1) & -128
        WHEN (from_version - 1) >> 9 = (to_version - 1) >> 9 THEN (to_version - 1) & -256
        WHEN (from_version - 1) >> 10 = (to_version - 1) >> 10 THEN (to_version - 1) & -512
        WHEN (from_version - 1) >> 11 = (to_version - 1) >> 11 THEN (to_version - 1) & -1024
        WHEN (from_version - 1) >> 12 = (to_version - 1) >> 12 THEN (to_version - 1) & -2048
        WHEN (from_version - 1) >> 13 = (to_version - 1) >> 13 THEN (to_version - 1) & -4096
        WHEN (from_version - 1) >> 14 = (to_version - 1) >> 14 THEN (to_version - 1) & -8192
        WHEN (from_version - 1) >> 15 = (to_version - 1) >> 15 THEN (to_version - 1) & -16384
        WHEN (from_version - 1) >> 16 = (to_version - 1) >> 16 THEN (to_version - 1) & -32768
        WHEN (from_version - 1) >> 17 = (to_version - 1) >> 17 THEN (to_version - 1) & -65536
        WHEN (from_version - 1) >> 18 = (to_version - 1) >> 18 THEN (to_version - 1) & -131072
        WHEN (from_version - 1) >> 19 = (to_version - 1) >> 19 THEN (to_version - 1) & -262144
        WHEN (from_version - 1) >> 20 = (to_version - 1) >> 20 THEN (to_version - 1) & -524288
        WHEN (from_version - 1) >> 21 = (to_version - 1) >> 21 THEN (to_version - 1) & -1048576
        WHEN (from_version - 1) >> 22 = (to_version - 1) >> 22 THEN (to_version - 1) & -2097152
        WHEN (from_version - 1) >> 23 = (to_version - 1) >> 23 THEN (to_version - 1) & -4194304
        WHEN (from_version - 1) >> 24 = (to_version - 1) >> 24 THEN (to_version - 1) & -8388608
        WHEN (from_version - 1) >> 25 = (to_version - 1) >> 25 THEN (to_version - 1) & -16777216
        WHEN (from_version - 1) >> 26 = (to_version - 1) >> 26 THEN (to_version - 1) & -33554432
        WHEN (from_version - 1) >> 27 = (to_version - 1) >> 27 THEN (to_version - 1) & -67108864
        WHEN (from_version - 1) >> 28 = (to_version - 1) >> 28 THEN (to_version - 1) & -134217728
        WHEN (from_version - 1) >> 29 = (to_version - 1) >> 29 THEN (to_version - 1) & -268435456
        WHEN (from_version - 1) >> 30 = (to_version - 1) >> 30 THEN (to_version - 1) & -536870912
        WHEN (from_version - 1) >> 31 = (to_version - 1) >> 31 THEN (to_version - 1) & -1073741824
        WHEN (from_version - 1) >> 32 = (to_version - 1) >> 32 THEN (to_version - 1) & -2147483648
        WHEN (from_version - 1) >> 33 = (to_version - 1) >> 33 THEN (to_version - 1) & -4294967296
        WHEN (from_version - 1) >> 34 = (to_version - 1) >> 34 THEN (to_version - 1) & -8589934592
        WHEN (from_version - 1) >> 35 = (to_version - 1) >> 35 THEN (to_version - 1) & -17179869184
        WHEN (from_version - 1) >> 36 = (to_version - 1) >> 36 THEN (to_version - 1) & -34359738368
        WHEN (from_version - 1) >> 37 = (to_version - 1) >> 37 THEN (to_version - 1) & -68719476736
        WHEN (from_version - 1) >> 38 = (to_version - 1) >> 38 THEN (to_version - 1) & -137438953472
        WHEN (from_version - 1) >> 39 = (to_version - 1) >> 39 THEN (to_version - 1) & -274877906944
        WHEN (from_version - 1) >> 40 = (to_version - 1) >> 40 THEN (to_version - 1) & -549755813888
        ELSE 0
    END
) STORED;

CREATE INDEX entity_key_past ON entity_key (generation, group_id, search_key, kind, fork, to_version, entity_id, from_version)
    WHERE to_version < 9223372036854775807;
CREATE TABLE change_term (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    term BYTEA NOT NULL,
    block BIGINT NOT NULL,
    versions TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, boundary, term, block)
);

CREATE TABLE change_events (
    generation BIGINT NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    what BYTEA NOT NULL,
    PRIMARY KEY (generation, boundary, version, first_event)
);
