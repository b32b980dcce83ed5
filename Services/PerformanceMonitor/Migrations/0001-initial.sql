-- What system.statusChange said last, so that a restart of the monitor is no change.
CREATE TABLE health (
    tenant text PRIMARY KEY,
    status text NOT NULL,
    reason text NOT NULL,
    changed_at timestamptz NOT NULL
);
