-- What an import left out below its titles: links, and episodes listed apart, that are malformed or belong to nothing.
ALTER TABLE imports ADD COLUMN refused INTEGER NOT NULL DEFAULT 0 CHECK (refused >= 0);
