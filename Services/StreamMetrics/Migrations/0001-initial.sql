CREATE TABLE streams (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    title text NOT NULL,
    description text,
    protocol text NOT NULL CHECK (protocol IN ('webrtc', 'rtmp', 'srt', 'ndi')),
    status text NOT NULL CHECK (status IN ('idle', 'live', 'ended', 'error')),
    recording jsonb NOT NULL,
    transcoding jsonb NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX streams_by_tenant ON streams (tenant, id DESC);
CREATE INDEX streams_live ON streams (tenant) WHERE status = 'live';

CREATE TABLE viewers (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    stream text NOT NULL REFERENCES streams ON DELETE CASCADE,
    country text,
    device text NOT NULL CHECK (device IN ('desktop', 'mobile', 'tablet', 'tv', 'other')),
    joined_at timestamptz NOT NULL,
    left_at timestamptz
);
CREATE INDEX viewers_by_stream ON viewers (stream);
CREATE INDEX viewers_watching ON viewers (stream) WHERE left_at IS NULL;

-- Without a reference to streams: the check that it brings would cost every line a lookup, and the one writer knows better.
CREATE TABLE chat_messages (
    stream text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    id text NOT NULL UNIQUE,
    tenant text NOT NULL,
    user_id text NOT NULL,
    username text NOT NULL,
    message text NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX chat_messages_by_time ON chat_messages USING brin (sent_at);

CREATE TABLE reactions (
    stream text NOT NULL REFERENCES streams ON DELETE CASCADE,
    reaction text NOT NULL,
    tenant text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (stream, reaction)
);

CREATE TABLE channels (
    tenant text PRIMARY KEY,
    session_events_count bigint NOT NULL
);

CREATE TABLE activities (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL,
    provider text NOT NULL,
    data jsonb NOT NULL,
    session_events_count bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX activities_by_tenant ON activities (tenant, seq DESC);
