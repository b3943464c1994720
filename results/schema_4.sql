-- Version 4: what methods inside the language model leave, and what an allocator's guide costs.

ALTER TABLE cell ADD COLUMN assistant_digest TEXT;      -- of the checkpoint that guides its allocator, as model.digest; NULL: none does

ALTER TABLE cost ADD COLUMN tokens_mean REAL;           -- visual tokens per layer of the language model, markers counted, mean over the layers; NULL if not known
ALTER TABLE cost ADD COLUMN tokens_cached REAL;         -- of these, what the first step of generation sees in the cache, mean over the layers; NULL if not known
ALTER TABLE cost ADD COLUMN shared_layers INTEGER;      -- layers whose part of the visual prefix is the same for all questions on the video; NULL if not known
ALTER TABLE cost ADD COLUMN tokens_guide INTEGER NOT NULL DEFAULT 0; -- rows that a guide's language model ran through to allot budgets; 0 without one
ALTER TABLE cost ADD COLUMN guide_alone_ms REAL;        -- the guide: an assistant's frames, its prefix and the question
ALTER TABLE cost ADD COLUMN guide_paid_ms REAL;
