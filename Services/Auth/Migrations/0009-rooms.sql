-- Tokens and keys are limited to streams, cameras and OBS connections in the same way as to stations.
ALTER TABLE access_tokens ADD COLUMN streams text[], ADD COLUMN cameras text[], ADD COLUMN obs_connections text[];
ALTER TABLE api_keys ADD COLUMN streams text[], ADD COLUMN cameras text[], ADD COLUMN obs_connections text[];
