-- Version 3: what the protocols of more benchmarks ask of a headline, and groups that a sample can be in several of.

ALTER TABLE cell ADD COLUMN drop_unread INTEGER NOT NULL DEFAULT 0 CHECK (drop_unread IN (0, 1)); -- replies without a letter leave the headline's denominator
ALTER TABLE cell ADD COLUMN guesses INTEGER NOT NULL DEFAULT 0 CHECK (guesses IN (0, 1));         -- upstream draws a letter where it finds none
ALTER TABLE cell ADD COLUMN macro_types INTEGER NOT NULL DEFAULT 0 CHECK (macro_types >= 0);      -- task types that the mean is over at least, those without answers as 0

ALTER TABLE answer ADD COLUMN empty INTEGER NOT NULL DEFAULT 0 CHECK (empty IN (0, 1)); -- nothing was said, reasoning apart where the profile drops it
UPDATE answer SET empty = 1 WHERE NOT failed AND coalesce(raw, '') = '';

-- A group that a sample is counted in beside those of its columns.
CREATE TABLE tag (
    sample_id INTEGER NOT NULL REFERENCES sample,
    kind TEXT NOT NULL,                 -- "tag", "area"
    name TEXT NOT NULL,                 -- "object permanence", "physics"
    PRIMARY KEY (sample_id, kind, name)
) STRICT, WITHOUT ROWID;
