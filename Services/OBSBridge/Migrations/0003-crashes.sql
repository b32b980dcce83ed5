-- The run of the process that tries the connection now; NULL: none does.
ALTER TABLE connections ADD COLUMN tried_by text;
-- How often in a row a run of the process ended while it tried the connection.
ALTER TABLE connections ADD COLUMN crashes int NOT NULL DEFAULT 0;
