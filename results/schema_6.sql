-- Version 6: answers of servers.

ALTER TABLE cell ADD COLUMN body TEXT CHECK (body IS NULL OR json_valid(body)); -- what the sweep adds to each request to a server, canonical JSON; NULL: nothing

-- What a server says of an answer, as it says it, and what asking took. Nothing here was counted by this program but attempts and time.
CREATE TABLE remote (
    answer_id INTEGER PRIMARY KEY REFERENCES answer ON DELETE CASCADE,
    attempts INTEGER NOT NULL CHECK (attempts >= 0), -- requests that were sent for it
    request_ms REAL,                    -- of the last of them, from its first byte out to its last byte in; NULL if none was sent
    finish TEXT,                        -- the server's finish_reason; NULL if it gave none
    usage TEXT CHECK (usage IS NULL OR json_valid(usage)), -- the server's usage object, canonical JSON; NULL if it gave none
    prompt_tokens INTEGER AS (CASE json_type(usage, '$.prompt_tokens') WHEN 'integer' THEN json_extract(usage, '$.prompt_tokens') END) VIRTUAL,
    completion_tokens INTEGER AS (CASE json_type(usage, '$.completion_tokens') WHEN 'integer' THEN json_extract(usage, '$.completion_tokens') END) VIRTUAL
) STRICT;
