-- The epoch of the lease under which a generation is written.
ALTER TABLE generation ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- Who projects. Every taking over begins another epoch; the time is this database's.
CREATE TABLE projector_lease (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    holder TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

INSERT INTO projector_lease (one, holder, epoch, expires_at) VALUES (1, '', 0, '-infinity');
