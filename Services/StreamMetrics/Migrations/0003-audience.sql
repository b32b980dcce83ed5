-- What a stream's viewers come to, counted as they come and go. `watched_ms` is of those who have left.
ALTER TABLE streams
    ADD COLUMN watching integer NOT NULL DEFAULT 0,
    ADD COLUMN total_views bigint NOT NULL DEFAULT 0,
    ADD COLUMN peak_viewers integer NOT NULL DEFAULT 0,
    ADD COLUMN watched_ms bigint NOT NULL DEFAULT 0;
UPDATE streams SET watching = seen.watching, total_views = seen.views, peak_viewers = seen.watching, watched_ms = seen.watched
FROM (
    SELECT stream, count(*) AS views, count(*) FILTER (WHERE left_at IS NULL) AS watching,
        (coalesce(sum(extract(epoch FROM left_at - joined_at)), 0) * 1000)::bigint AS watched
    FROM viewers GROUP BY stream
) AS seen WHERE seen.stream = streams.id;

-- What a moderator decided on a line; none: nobody did.
ALTER TABLE chat_messages
    ADD COLUMN moderation text CHECK (moderation IN ('blocked', 'flagged', 'allowed')),
    ADD COLUMN moderated_at timestamptz,
    ADD COLUMN moderated_by text,
    ADD COLUMN moderation_reason text;
CREATE INDEX chat_messages_moderated ON chat_messages (stream, seq DESC) WHERE moderation IS NOT NULL;
