-- Version 10: sums, so that a table of a store costs what its cells are and not what its answers are.
--
-- Sums cover the answers with ids up to summed.answer_id. sums.c brings them up to date before each commit that writes answers, so that
-- they are never behind or ahead of what is committed; all are whole numbers, so that neither order nor batches leave a trace in them.

CREATE TABLE summed (
    answer_id INTEGER NOT NULL          -- the last answer that is in the sums; one row
) STRICT;
INSERT INTO summed VALUES (0);

-- Cells whose answers were changed by something else than this program: their sums were dropped, and are made anew when a program opens
-- the store.
CREATE TABLE stale_cell (
    cell_id INTEGER PRIMARY KEY REFERENCES cell
) STRICT;

-- How many answers of each status a run gave in a cell.
CREATE TABLE answer_count (
    cell_id INTEGER NOT NULL REFERENCES cell,
    run_id INTEGER NOT NULL REFERENCES run,
    status TEXT NOT NULL,
    n INTEGER NOT NULL,
    first_at TEXT NOT NULL,             -- when the first of them was given, those that were repeated since included
    last_at TEXT NOT NULL,
    PRIMARY KEY (cell_id, run_id, status)
) STRICT, WITHOUT ROWID;

-- Sums over a cell's replies: answers that are not failures. <name> is the sum of a column of cost, <name>_n how many of them are not NULL.
CREATE TABLE reply_sum (
    cell_id INTEGER PRIMARY KEY REFERENCES cell,
    n INTEGER NOT NULL,
    n_correct INTEGER NOT NULL,
    expected INTEGER NOT NULL,          -- of the headline's, what they are worth when letters are drawn where none is; in units of 1 / 26771144400,
                                        -- which is a multiple of all numbers of options up to 26
    tokens_before INTEGER NOT NULL, tokens_before_n INTEGER NOT NULL,
    tokens_marker_before INTEGER NOT NULL, tokens_marker_before_n INTEGER NOT NULL,
    tokens_visual INTEGER NOT NULL, tokens_visual_n INTEGER NOT NULL,
    tokens_marker INTEGER NOT NULL, tokens_marker_n INTEGER NOT NULL,
    tokens_text INTEGER NOT NULL, tokens_text_n INTEGER NOT NULL,
    tokens_generated INTEGER NOT NULL, tokens_generated_n INTEGER NOT NULL,
    tokens_guide INTEGER NOT NULL, tokens_guide_n INTEGER NOT NULL,
    shared_layers INTEGER NOT NULL, shared_layers_n INTEGER NOT NULL,
    tokens_match INTEGER NOT NULL, tokens_match_n INTEGER NOT NULL,
    match_distance INTEGER NOT NULL, match_distance_n INTEGER NOT NULL,   -- of tokens that entered to tokens_match
    layers_before INTEGER NOT NULL, layers_before_n INTEGER NOT NULL,     -- tokens_before where tokens_mean is known
    tokens_mean INTEGER NOT NULL, tokens_mean_n INTEGER NOT NULL,         -- in units of 1 / 2^20
    tokens_cached INTEGER NOT NULL, tokens_cached_n INTEGER NOT NULL,     -- in units of 1 / 2^20
    open_alone_ns INTEGER NOT NULL, open_alone_ns_n INTEGER NOT NULL,     -- nanoseconds
    decode_alone_ns INTEGER NOT NULL, decode_alone_ns_n INTEGER NOT NULL,
    resize_alone_ns INTEGER NOT NULL, resize_alone_ns_n INTEGER NOT NULL,
    vision_alone_ns INTEGER NOT NULL, vision_alone_ns_n INTEGER NOT NULL,
    guide_alone_ns INTEGER NOT NULL, guide_alone_ns_n INTEGER NOT NULL,
    compress_alone_ns INTEGER NOT NULL, compress_alone_ns_n INTEGER NOT NULL,
    prefill_alone_ns INTEGER NOT NULL, prefill_alone_ns_n INTEGER NOT NULL,
    generate_alone_ns INTEGER NOT NULL, generate_alone_ns_n INTEGER NOT NULL,
    open_paid_ns INTEGER NOT NULL, open_paid_ns_n INTEGER NOT NULL,
    decode_paid_ns INTEGER NOT NULL, decode_paid_ns_n INTEGER NOT NULL,
    resize_paid_ns INTEGER NOT NULL, resize_paid_ns_n INTEGER NOT NULL,
    vision_paid_ns INTEGER NOT NULL, vision_paid_ns_n INTEGER NOT NULL,
    guide_paid_ns INTEGER NOT NULL, guide_paid_ns_n INTEGER NOT NULL,
    compress_paid_ns INTEGER NOT NULL, compress_paid_ns_n INTEGER NOT NULL,
    prefill_paid_ns INTEGER NOT NULL, prefill_paid_ns_n INTEGER NOT NULL,
    generate_paid_ns INTEGER NOT NULL, generate_paid_ns_n INTEGER NOT NULL
) STRICT;

-- The headline's answers in a group of samples. Of each video v that has some in it, n_v answers and k_v right ones: what an interval with
-- videos as clusters needs of the videos are the three sums of their products.
CREATE TABLE group_sum (
    cell_id INTEGER NOT NULL REFERENCES cell,
    kind TEXT NOT NULL,                 -- "task_type", "duration", "domain", "sub_category" or a kind of tag; '' is the whole cell
    name TEXT NOT NULL,                 -- '' of the whole cell, and of the samples without a task type
    first_row INTEGER NOT NULL,         -- least manifest row of a sample in it
    n INTEGER NOT NULL,
    n_correct INTEGER NOT NULL,
    n_videos INTEGER NOT NULL,
    nn INTEGER NOT NULL,                -- sum over videos of n_v * n_v
    nk INTEGER NOT NULL,                -- of n_v * k_v
    kk INTEGER NOT NULL,                -- of k_v * k_v
    PRIMARY KEY (cell_id, kind, name)
) STRICT, WITHOUT ROWID;

-- The same over two task types a <= b that videos have in common, of cells whose headline is a mean over task types: n_a is a video's
-- answers of type a.
CREATE TABLE type_pair (
    cell_id INTEGER NOT NULL REFERENCES cell,
    a TEXT NOT NULL,
    b TEXT NOT NULL,
    nn INTEGER NOT NULL,                -- sum over videos of n_a * n_b
    nk INTEGER NOT NULL,                -- of n_a * k_b
    kn INTEGER NOT NULL,                -- of k_a * n_b
    kk INTEGER NOT NULL,                -- of k_a * k_b
    PRIMARY KEY (cell_id, a, b)
) STRICT, WITHOUT ROWID;

-- A failure that makes room leaves its count; all else that changes what was summed makes the cell stale.
CREATE TRIGGER answer_dropped AFTER DELETE ON answer BEGIN
    UPDATE answer_count SET n = n - 1
    WHERE cell_id = old.cell_id AND run_id = old.run_id AND status = old.status AND old.id <= (SELECT answer_id FROM summed);
    DELETE FROM answer_count WHERE cell_id = old.cell_id AND run_id = old.run_id AND status = old.status AND n = 0;
    INSERT INTO stale_cell SELECT old.cell_id
    WHERE old.status IN ('ok', 'no_answer', 'ambiguous') AND old.id <= (SELECT answer_id FROM summed)
      AND old.cell_id NOT IN (SELECT cell_id FROM stale_cell);
    UPDATE summed SET answer_id = min(answer_id, coalesce((SELECT max(id) FROM answer), 0)); -- SQLite gives the id of the last row again
END;
CREATE TRIGGER answer_changed AFTER UPDATE OF cell_id, sample_id, run_id, status, correct, empty, answered_at ON answer BEGIN
    INSERT INTO stale_cell SELECT old.cell_id WHERE old.cell_id NOT IN (SELECT cell_id FROM stale_cell);
    INSERT INTO stale_cell SELECT new.cell_id WHERE new.cell_id NOT IN (SELECT cell_id FROM stale_cell);
END;
CREATE TRIGGER cost_changed AFTER UPDATE ON cost BEGIN
    INSERT INTO stale_cell SELECT cell_id FROM answer WHERE id = old.answer_id AND cell_id NOT IN (SELECT cell_id FROM stale_cell);
END;
CREATE TRIGGER cost_dropped AFTER DELETE ON cost BEGIN
    INSERT INTO stale_cell SELECT cell_id FROM answer WHERE id = old.answer_id AND cell_id NOT IN (SELECT cell_id FROM stale_cell);
END;
CREATE TRIGGER sample_moved AFTER UPDATE OF video_id ON sample WHEN new.video_id <> old.video_id BEGIN
    INSERT INTO stale_cell SELECT DISTINCT cell_id FROM answer WHERE sample_id = new.id AND cell_id NOT IN (SELECT cell_id FROM stale_cell);
END;
CREATE TRIGGER tag_added AFTER INSERT ON tag BEGIN
    INSERT INTO stale_cell SELECT DISTINCT cell_id FROM answer WHERE sample_id = new.sample_id AND cell_id NOT IN (SELECT cell_id FROM stale_cell);
END;
CREATE TRIGGER cell_stale AFTER INSERT ON stale_cell BEGIN -- better no numbers than old ones
    DELETE FROM answer_count WHERE cell_id = new.cell_id;
    DELETE FROM reply_sum WHERE cell_id = new.cell_id;
    DELETE FROM group_sum WHERE cell_id = new.cell_id;
    DELETE FROM type_pair WHERE cell_id = new.cell_id;
END;

ALTER TABLE benchmark ADD COLUMN videos_digest TEXT; -- of its videos as they were written last; NULL if not known

CREATE INDEX answer_without_letter ON answer (cell_id) WHERE status = 'no_answer';

-- For a list of more than two constants SQLite makes a table whenever a statement looks into it, which was half of the work of an INSERT
-- into answer. The same conditions in words that need none; the bytes of rows do not depend on them.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(replace(sql,
    'CHECK (status IN (''ok'', ''no_answer'', ''ambiguous'', ''decode_failed'', ''missing_video'', ''too_long'', ''out_of_memory'',
                                           ''runner_failed'', ''timeout''))',
    'CHECK (instr('' ok no_answer ambiguous decode_failed missing_video too_long out_of_memory runner_failed timeout '', '' '' || status || '' '') AND NOT instr(status, '' ''))'),
    'AS (status NOT IN (''ok'', ''no_answer'', ''ambiguous''))',
    'AS (status <> ''ok'' AND status <> ''no_answer'' AND status <> ''ambiguous'')')
WHERE type = 'table' AND name = 'answer';
PRAGMA writable_schema = RESET;
