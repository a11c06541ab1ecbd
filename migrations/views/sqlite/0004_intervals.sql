-- Rows that have ended are found by the versions in which they were valid as in a relational interval tree (Kriegel,
-- Pötke, Seidl): `fork` is the one version of theirs that is divisible by the largest power of two. Whatever was valid at
-- a version has for its fork one of that version's ancestors in the tree of all versions, at most one for each power of
-- two. What is valid now has none; what was valid over 2^40 versions and more has 0.
ALTER TABLE entity ADD COLUMN fork INTEGER GENERATED ALWAYS AS (
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
) VIRTUAL;

CREATE INDEX entity_past ON entity (generation, group_id, kind, fork, to_version, entity_id, from_version)
    WHERE to_version < 9223372036854775807;

-- What is valid now is told from what wasn't yet at a version without looking at its row.
DROP INDEX entity_current;
CREATE INDEX entity_current ON entity (generation, group_id, kind, entity_id, from_version)
    WHERE to_version = 9223372036854775807;

ALTER TABLE entity_key ADD COLUMN fork INTEGER GENERATED ALWAYS AS (
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
) VIRTUAL;

CREATE INDEX entity_key_past ON entity_key (generation, group_id, search_key, kind, fork, to_version, entity_id, from_version)
    WHERE to_version < 9223372036854775807;
