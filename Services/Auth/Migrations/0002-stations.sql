-- Whoever may see some stations only gives no more than these to the clients and tokens that they make.
ALTER TABLE oauth_clients ADD COLUMN stations text[];
ALTER TABLE access_tokens ADD COLUMN stations text[];
