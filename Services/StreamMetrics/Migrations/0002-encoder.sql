-- Whose output a stream is, where an encoder started it.
ALTER TABLE streams ADD COLUMN encoder text;
