-- Who did what, and who was refused. No secret is ever in it. Partitioned by month.
CREATE TABLE audit (
    -- A ULID: the order of time.
    id text NOT NULL,
    time timestamptz NOT NULL,
    -- `domain.verb`
    action text NOT NULL,
    -- done or refused
    outcome text NOT NULL,
    tenant text,
    -- The subject of whoever did it, as far as it is known, and by which credential.
    actor text,
    credential text,
    address text,
    -- The id of what it was done to.
    target text,
    -- Why it was refused, or what there is to add.
    reason text,
    -- How many alike this row stands for.
    count integer NOT NULL DEFAULT 1,
    PRIMARY KEY (time, id)
) PARTITION BY RANGE (time);
CREATE INDEX ON audit (id);
CREATE INDEX ON audit (tenant, id);

-- Where the month's partition was not made in time.
CREATE TABLE audit_default PARTITION OF audit DEFAULT;
