-- Which group each certificate of instances belongs to, as the system says; the groups that had it and were released
-- from it are kept with `held` = 0.
CREATE TABLE certificate_claim (
    generation BIGINT NOT NULL,
    fingerprint BYTEA NOT NULL,
    organization_id BYTEA NOT NULL,
    group_id BYTEA NOT NULL,
    held BIGINT NOT NULL,
    PRIMARY KEY (generation, fingerprint)
);

-- What the organizations record of their groups' certificates; removed ones are kept with `removed` = 1. A certificate
-- opens the group that has both: the record and the claim.
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
