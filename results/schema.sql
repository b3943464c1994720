-- Schema of a store, version 1 (PRAGMA user_version). A later version adds a file of changes and one line to `migrations` in store.c;
-- this one stays as it is. Units end the names: _ms milliseconds, _s seconds, _bytes; times of day are ISO 8601 in UTC; flags are 0 or 1.

CREATE TABLE model (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,        -- SHA-256 over config, tokenizer and tensor bytes
    name TEXT NOT NULL                  -- folder or Hub id by which a sweep named it first
) STRICT;

-- One manifest of a benchmark. Two manifests of one benchmark are two rows.
CREATE TABLE benchmark (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,                 -- "videomme"
    digest TEXT NOT NULL,               -- SHA-256 of the manifest's bytes
    path TEXT,                          -- where the manifest was read last; NULL while only a cell has named it
    UNIQUE (name, digest)
) STRICT;

CREATE TABLE video (
    id INTEGER PRIMARY KEY,
    benchmark_id INTEGER NOT NULL REFERENCES benchmark,
    name TEXT NOT NULL,                 -- what the manifest calls it
    path TEXT NOT NULL,                 -- file, or folder of frames; where it was looked for first when it is missing
    missing INTEGER NOT NULL CHECK (missing IN (0, 1)),     -- no file was found when the manifest was read last
    is_folder INTEGER NOT NULL CHECK (is_folder IN (0, 1)), -- a folder of frames
    folder_fps REAL NOT NULL,           -- frames per second of a folder, 0 for files
    start_s REAL NOT NULL,              -- start of the part that is asked about; negative: the whole video
    end_s REAL NOT NULL,                -- its end
    UNIQUE (benchmark_id, name, path, start_s, end_s)
) STRICT;

-- One question on one video.
CREATE TABLE sample (
    id INTEGER PRIMARY KEY,
    benchmark_id INTEGER NOT NULL REFERENCES benchmark,
    name TEXT NOT NULL,                 -- the manifest's id, unique in it
    manifest_row INTEGER NOT NULL CHECK (manifest_row >= 0), -- 0-based place in the manifest
    video_id INTEGER NOT NULL REFERENCES video,
    question TEXT NOT NULL,             -- bytes as in the manifest
    answer INTEGER CHECK (answer >= 0), -- position of the right option; NULL when the manifest does not tell
    task_type TEXT,                     -- these four are NULL where the benchmark has none
    duration TEXT,
    domain TEXT,
    sub_category TEXT,
    UNIQUE (benchmark_id, name)
) STRICT;
CREATE INDEX sample_by_video ON sample (video_id);

CREATE TABLE option (
    sample_id INTEGER NOT NULL REFERENCES sample,
    position INTEGER NOT NULL CHECK (position >= 0), -- 0 is the first
    text TEXT NOT NULL,                 -- bytes as in the manifest, with or without a letter
    PRIMARY KEY (sample_id, position)
) STRICT, WITHOUT ROWID;

-- One start of the program on a sweep.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,              -- command line
    sweep_name TEXT NOT NULL,
    config TEXT NOT NULL CHECK (json_valid(config)), -- resolved sweep, canonical JSON
    revision TEXT NOT NULL,             -- of the source tree; '' if not known
    build_digest TEXT NOT NULL,         -- SHA-256 of the sources that can change a number
    libraries TEXT NOT NULL CHECK (json_valid(libraries)), -- JSON object: name -> version
    host TEXT NOT NULL,
    device TEXT NOT NULL,               -- "cpu: <model name>, 2 threads"
    started_at TEXT NOT NULL,
    ended_at TEXT,                      -- NULL while it runs, and for ever when it was killed
    outcome TEXT CHECK (outcome IN ('done', 'stopped', 'failed')) -- NULL as above
) STRICT;

-- One point of a sweep. Its digest covers all that can change its numbers; label, macro and drop_empty follow from the rest.
CREATE TABLE cell (
    id INTEGER PRIMARY KEY,             -- in the order first seen
    digest TEXT NOT NULL UNIQUE,        -- SHA-256 of everything that can change its numbers
    model_id INTEGER NOT NULL REFERENCES model,
    benchmark_id INTEGER NOT NULL REFERENCES benchmark,
    profile TEXT NOT NULL,              -- evaluation protocol: "toksweep", "lmms-0.3.4"
    frames INTEGER NOT NULL CHECK (frames >= 0), -- most frames shown
    sampling TEXT NOT NULL,             -- frame rule: "uniform", "1fps", "centre"
    compressor TEXT NOT NULL,
    params TEXT NOT NULL CHECK (json_valid(params)), -- its options as canonical JSON, defaults included
    label TEXT NOT NULL,                -- short text for tables: "dyntok threshold=0.6"
    pooling TEXT NOT NULL,              -- grid the tower's patches are pooled to: "bilinear", "average", "max", "none"
    image_size INTEGER NOT NULL,        -- side of the square a frame is resized to, in pixels
    newline TEXT NOT NULL,              -- marker layout without compression: "grid", "frame", "one_token", "no_token"
    conversation TEXT NOT NULL,         -- template round the question: "qwen_1_5", "qwen_2_5"
    prompt_form TEXT NOT NULL,          -- "default", "llava_vid"
    time_instruction INTEGER NOT NULL CHECK (time_instruction IN (0, 1)),
    repetition_penalty REAL NOT NULL,
    max_new_tokens INTEGER NOT NULL,
    dtype TEXT NOT NULL,
    runner TEXT NOT NULL,               -- "native", "mock"
    isa TEXT NOT NULL,                  -- kernel table
    build_digest TEXT NOT NULL,         -- SHA-256 of the sources that can change a number
    macro INTEGER NOT NULL CHECK (macro IN (0, 1)),           -- headline is the mean over task types, not over questions
    drop_empty INTEGER NOT NULL CHECK (drop_empty IN (0, 1))  -- empty replies leave the headline's denominator
) STRICT;

-- One row per cell and sample, committed as soon as it is scored.
CREATE TABLE answer (
    id INTEGER PRIMARY KEY,
    cell_id INTEGER NOT NULL REFERENCES cell,
    sample_id INTEGER NOT NULL REFERENCES sample,
    run_id INTEGER NOT NULL REFERENCES run,
    status TEXT NOT NULL CHECK (status IN ('ok', 'no_answer', 'ambiguous', 'decode_failed', 'missing_video', 'too_long', 'out_of_memory',
                                           'runner_failed', 'timeout')),
    failed INTEGER NOT NULL AS (status NOT IN ('ok', 'no_answer', 'ambiguous')) VIRTUAL, -- there is no reply to score; may be tried again
    raw TEXT,                           -- the reply, stripped; NULL when failed
    message TEXT,                       -- why it failed; NULL otherwise
    extracted INTEGER CHECK (extracted >= 0), -- position of the option chosen; NULL if none
    correct INTEGER NOT NULL CHECK (correct IN (0, 1)),
    margin REAL,                        -- top logit minus second at the first generated text id; NULL if not known
    tokens_digest TEXT,                 -- of the visual tokens, their plan and source frames; NULL if not known
    answered_at TEXT NOT NULL,
    UNIQUE (cell_id, sample_id),
    CONSTRAINT only_ok_is_correct CHECK (NOT correct OR status = 'ok'),
    CONSTRAINT failures_have_no_reply CHECK (raw IS NULL OR NOT failed)
) STRICT;
CREATE INDEX answer_by_run ON answer (run_id);
CREATE INDEX answer_by_sample ON answer (sample_id);

-- What an answer cost. "alone" is what it needed as if run by itself, "paid" the part computed for it and not taken from an earlier
-- answer: summed over a run, paid is the real work and the difference is what sharing saved. Times are NULL where not measured.
CREATE TABLE cost (
    answer_id INTEGER PRIMARY KEY REFERENCES answer ON DELETE CASCADE,
    frames INTEGER NOT NULL,            -- shown
    frames_encoded INTEGER NOT NULL,    -- paid: of these, run through the vision tower for this answer
    tokens_before INTEGER NOT NULL,     -- visual tokens without compression, markers included
    tokens_marker_before INTEGER NOT NULL, -- of these, markers
    tokens_visual INTEGER NOT NULL,     -- content tokens that entered the language model
    tokens_marker INTEGER NOT NULL,     -- row, frame and end markers that entered it
    tokens_text INTEGER NOT NULL,       -- text ids of the prompt
    tokens_generated INTEGER NOT NULL,
    tokens_prefilled INTEGER NOT NULL,  -- paid: rows run through the language model before generating
    open_alone_ms REAL, decode_alone_ms REAL, resize_alone_ms REAL, vision_alone_ms REAL, compress_alone_ms REAL, prefill_alone_ms REAL,
    generate_alone_ms REAL,
    open_paid_ms REAL, decode_paid_ms REAL, resize_paid_ms REAL, vision_paid_ms REAL, compress_paid_ms REAL, prefill_paid_ms REAL,
    generate_paid_ms REAL,
    peak_bytes INTEGER,                 -- planned memory of the video's work; NULL if not known
    joules REAL,                        -- NULL where the machine does not report them
    shared INTEGER NOT NULL AS (frames_encoded < frames OR tokens_prefilled < tokens_visual + tokens_marker + tokens_text) VIRTUAL
                                        -- some of its work was done for an earlier answer
) STRICT;

-- Thresholds that a target ratio was resolved to.
CREATE TABLE calibration (
    key TEXT PRIMARY KEY,               -- SHA-256 of what the search depended on
    target_ratio REAL NOT NULL,         -- 0..1, asked for
    threshold REAL NOT NULL,            -- found
    achieved_ratio REAL NOT NULL,       -- 0..1, on the calibration videos
    n_videos INTEGER NOT NULL,
    made_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Work in progress: which process computes a cell's answers on a video. See claim.c for when a claim is dead.
CREATE TABLE claim (
    cell_id INTEGER NOT NULL REFERENCES cell,
    benchmark TEXT NOT NULL,
    video TEXT NOT NULL,                -- what the manifest calls it
    run_id INTEGER NOT NULL REFERENCES run,
    host TEXT NOT NULL,                 -- node name
    boot TEXT NOT NULL,                 -- the kernel's boot id; '' if not known
    pid_space TEXT NOT NULL,            -- the process's pid namespace; '' if not known
    pid INTEGER NOT NULL,
    process_start INTEGER NOT NULL,     -- clock ticks from boot to the start of the process; 0 if not known
    renewed_s INTEGER NOT NULL,         -- seconds since 1970
    PRIMARY KEY (cell_id, benchmark, video)
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_by_run ON claim (run_id);
