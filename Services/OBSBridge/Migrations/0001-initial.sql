CREATE TABLE sources (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    width int NOT NULL,
    height int NOT NULL,
    refresh_rate int NOT NULL,
    css_custom text NOT NULL,
    js_custom text NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    activated_at timestamptz,
    deactivated_at timestamptz,
    CONSTRAINT sources_name UNIQUE (tenant, name)
);

CREATE INDEX sources_created ON sources (tenant, created_at, id);
