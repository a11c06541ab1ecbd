-- Which group each certificate of instances belongs to, as the system says; the groups that had it and were released
-- from it are kept with `held` = 0.
CREATE TABLE certificate_claim (
    generation INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    organization_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    held INTEGER NOT NULL,
    PRIMARY KEY (generation, fingerprint)
) STRICT, WITHOUT ROWID;

-- What the organizations record of their groups' certificates; removed ones are kept with `removed` = 1. A certificate
-- opens the group that has both: the record and the claim.
CREATE TABLE node_certificate (
    generation INTEGER NOT NULL,
    organization_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    certificate_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    is_ca INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (generation, organization_id, group_id, certificate_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX node_certificate_fingerprint ON node_certificate (generation, fingerprint);
CREATE INDEX node_certificate_authority ON node_certificate (generation) WHERE is_ca = 1 AND removed = 0;
CREATE INDEX node_certificate_expiry ON node_certificate (generation, not_after) WHERE removed = 0;
