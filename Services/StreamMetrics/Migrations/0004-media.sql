-- The stream that a media server's name first meant; the ones that followed when its encoder went live again have it too.
ALTER TABLE streams ADD COLUMN origin text;
CREATE INDEX streams_by_origin ON streams (origin, id DESC) WHERE origin IS NOT NULL;

-- Who publishes or plays at a media server, as its hooks or its statistics said.
CREATE TABLE media_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server text NOT NULL,
    role text NOT NULL CHECK (role IN ('publish', 'play')),
    session text NOT NULL,
    name text NOT NULL,
    -- None: its end was heard of before its beginning.
    stream text REFERENCES streams ON DELETE CASCADE,
    -- Of a play: who it is in the stream's audience. None: the stream is not live.
    viewer text,
    address text,
    agent text,
    started_at timestamptz NOT NULL,
    started_by text NOT NULL CHECK (started_by IN ('hook', 'statistics')),
    -- When it was last known to be there.
    seen_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text CHECK (ended_by IN ('hook', 'statistics', 'log', 'silence')),
    -- Of a publisher's end: whether its stream has drawn the consequence.
    settled boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX media_sessions_open ON media_sessions (server, role, session, name) WHERE ended_at IS NULL;
CREATE INDEX media_sessions_ended ON media_sessions (server, role, session, name, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX media_sessions_unsettled ON media_sessions (ended_at)
    WHERE role = 'publish' AND NOT settled AND ended_at IS NOT NULL AND stream IS NOT NULL;
CREATE INDEX media_sessions_by_stream ON media_sessions (stream, role);
CREATE INDEX media_sessions_by_time ON media_sessions USING brin (ended_at);

-- A recording that a media server has made of a stream.
CREATE TABLE recordings (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    stream text NOT NULL REFERENCES streams ON DELETE CASCADE,
    server text NOT NULL,
    path text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (server, path)
);
CREATE INDEX recordings_by_stream ON recordings (stream, id DESC);
CREATE INDEX recordings_by_tenant ON recordings (tenant, id DESC);
