-- The plan of whoever bound the stream; none for those that were bound before it was stored.
ALTER TABLE connections ADD COLUMN stream_tier text CHECK (stream_tier IN ('free', 'pro', 'enterprise'));
