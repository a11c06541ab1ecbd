-- The epoch of the lease under which a generation is written; on SQLite one process holds the file and it stays 0.
ALTER TABLE generation ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
