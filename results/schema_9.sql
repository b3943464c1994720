-- Version 9: pictures of tokens.

-- Which visual token each source token went into, as the tokens enter the language model: kept by `run --keep-groups` for the page of
-- `report --html --frames`. Equal tokens of equal frames are one row, whatever cells and videos have them.
CREATE TABLE token_groups (
    digest TEXT PRIMARY KEY,            -- answer.tokens_digest
    frames TEXT NOT NULL CHECK (json_valid(frames)), -- indices of the frames shown, a JSON array
    h INTEGER NOT NULL,                 -- rows of the grid of a frame's source tokens
    w INTEGER NOT NULL,                 -- its columns
    map TEXT NOT NULL                   -- a mark for each source token, frame by frame and row by row; see plots/group_map.h
) STRICT, WITHOUT ROWID;
