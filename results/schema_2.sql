-- Version 2: replies scored again under other profiles, and what imported logs say beyond their replies.

-- A cell's replies, scored once more under a profile that is not its own. What they are worth under its own is in `answer`.
CREATE TABLE rescoring (
    id INTEGER PRIMARY KEY,
    cell_id INTEGER NOT NULL REFERENCES cell,
    profile TEXT NOT NULL,
    macro INTEGER NOT NULL CHECK (macro IN (0, 1)), -- as of a cell, by this profile
    macro_types INTEGER NOT NULL,       -- task types that a macro headline is the mean over at least
    build_digest TEXT NOT NULL,         -- of the program that scored
    made_at TEXT NOT NULL,
    UNIQUE (cell_id, profile)
) STRICT;

CREATE TABLE score (
    rescoring_id INTEGER NOT NULL REFERENCES rescoring ON DELETE CASCADE,
    answer_id INTEGER NOT NULL REFERENCES answer ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('ok', 'no_answer', 'ambiguous')),
    extracted INTEGER CHECK (extracted >= 0), -- position of the option chosen; NULL if none
    correct INTEGER NOT NULL CHECK (correct IN (0, 1)),
    counted INTEGER NOT NULL CHECK (counted IN (0, 1)), -- in the headline's denominator
    PRIMARY KEY (rescoring_id, answer_id),
    CONSTRAINT only_ok_is_correct CHECK (NOT correct OR status = 'ok')
) STRICT, WITHOUT ROWID;
CREATE INDEX score_by_answer ON score (answer_id);

-- What the log of another program says of an answer and an export gives back: see `struct logged` in log.h.
CREATE TABLE imported (
    answer_id INTEGER PRIMARY KEY REFERENCES answer ON DELETE CASCADE,
    record TEXT NOT NULL CHECK (json_valid(record))
) STRICT;
