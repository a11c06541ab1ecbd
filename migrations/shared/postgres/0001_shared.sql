-- What the processes of all versions of the program share in one PostgreSQL database. Older ones, which kept their views
-- beside it, may have made the first table already.

-- What was observed of runtime instances: not derived from the log, and exempt from rebuilding.
CREATE TABLE IF NOT EXISTS observed_node (
    group_id BYTEA NOT NULL,
    node_id BYTEA NOT NULL,
    last_seen BIGINT NOT NULL,
    record TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, node_id)
);

-- The schemas in which the views of each version are, and since when no process of that version was seen.
CREATE TABLE views_of_version (
    schema_name TEXT COLLATE "C" PRIMARY KEY,
    unused_since TIMESTAMPTZ
);
