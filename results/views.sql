-- Views of a store: one row per thing that a table or a figure shows. Nothing is rounded; ratios and accuracies are 0..1.
-- Made anew by every migration, so that they always fit the program that wrote last.

DROP VIEW IF EXISTS cell_history;
DROP VIEW IF EXISTS cell_accuracy;
DROP VIEW IF EXISTS task_accuracy;
DROP VIEW IF EXISTS group_accuracy;
DROP VIEW IF EXISTS scored_answer;
DROP VIEW IF EXISTS failures;
DROP VIEW IF EXISTS run_cost;
DROP VIEW IF EXISTS video_frames;
DROP VIEW IF EXISTS rescored_accuracy;
DROP VIEW IF EXISTS server_usage;

-- One row per answer, with the two denominators it can be in: that of the plain accuracy (every reply) and that of the cell's headline
-- (without empty replies, or those without a letter, where the protocol drops them). "expected" is what the answer is worth on average:
-- a drawn letter's chance where the protocol's program draws one.
CREATE VIEW scored_answer AS
SELECT answer.cell_id,
       answer.sample_id,
       sample.manifest_row,
       sample.video_id,
       sample.task_type,
       sample.duration,
       sample.domain,
       sample.sub_category,
       answer.status,
       answer.correct,
       answer.failed,
       NOT answer.failed AS replied,
       NOT answer.failed AND NOT (cell.drop_empty AND answer.empty) AND NOT (cell.drop_unread AND answer.status = 'no_answer') AS in_headline,
       CASE WHEN cell.guesses AND answer.status = 'no_answer' AND sample.answer IS NOT NULL
            THEN 1.0 / (SELECT count(*) FROM option WHERE option.sample_id = sample.id) ELSE answer.correct END AS expected,
       cost.*
FROM answer
JOIN cell ON cell.id = answer.cell_id
JOIN sample ON sample.id = answer.sample_id
LEFT JOIN cost ON cost.answer_id = answer.id; -- imported answers have none

-- One row per cell. Means and ratios are over the answers that are not failures. accuracy_se is the standard error of accuracy with videos
-- as clusters: of the sums of deviations per video, with the factor G / (G - 1) for G videos; NULL with fewer than two. The bounds are
-- Wilson's at 95 %, of accuracy_micro, with questions taken as independent. All is made of the store's sums, and no answer is read.
--
-- How far a video moves a mean over answers is (N k_v - K n_v) / N^2, so that the squares add up to what the sums of n_v n_v, n_v k_v and
-- k_v k_v tell; in a mean over task types it is a sum of such terms, whose products by twos are in type_pair.
CREATE VIEW cell_accuracy AS
WITH
    constant AS (SELECT 1.959963984540054 AS z),
    tally AS (
        SELECT cell_id,
               sum(n) AS n_answered,
               sum(n * (status = 'ok')) AS n_ok,
               sum(n * (status NOT IN ('ok', 'no_answer', 'ambiguous'))) AS n_failed,
               sum(n * (status = 'no_answer')) AS n_no_answer
        FROM answer_count
        GROUP BY cell_id),
    whole AS (SELECT cell_id, n, n_correct, n_videos, nn, nk, kk FROM group_sum WHERE kind = ''),
    part AS (SELECT cell_id, name, 1.0 * n AS n, 1.0 * n_correct AS n_correct FROM group_sum WHERE kind = 'task_type'),
    macro AS (
        SELECT cell_id,
               max(count(*), cell.macro_types) AS n_parts,
               sum(n_correct / n) / max(count(*), cell.macro_types) AS headline_macro,
               sum(name <> '') AS n_types
        FROM part
        JOIN cell ON cell.id = cell_id
        GROUP BY cell_id),
    moved AS ( -- sum over videos of how far each moves the headline, squared
        SELECT cell_id, (1.0 * kk * n * n - 2.0 * nk * n * n_correct + 1.0 * nn * n_correct * n_correct) / n / n / n / n AS squares
        FROM whole
        WHERE NOT (SELECT macro FROM cell WHERE cell.id = cell_id)
        UNION ALL
        SELECT pair.cell_id,
               sum((2 - (pair.a = pair.b)) * (kk * a.n * b.n - nk * a.n_correct * b.n - kn * a.n * b.n_correct + nn * a.n_correct * b.n_correct)
                   / (a.n * a.n * b.n * b.n)) / n_parts / n_parts
        FROM type_pair AS pair
        JOIN part AS a ON a.cell_id = pair.cell_id AND a.name = pair.a
        JOIN part AS b ON b.cell_id = pair.cell_id AND b.name = pair.b
        JOIN macro ON macro.cell_id = pair.cell_id
        GROUP BY pair.cell_id),
    asked AS (SELECT benchmark_id, count(*) AS n_samples FROM sample GROUP BY benchmark_id)
SELECT cell.id,
       benchmark.name AS benchmark,
       model.name AS model,
       cell.frames,
       cell.label,
       CASE WHEN cell.macro THEN headline_macro ELSE 1.0 * whole.n_correct / whole.n END AS accuracy,
       sqrt(1.0 * n_videos / (n_videos - 1) * max(0.0, squares)) AS accuracy_se,
       coalesce(n_videos, 0) AS n_videos, -- that have an answer in the headline
       1.0 * reply.n_correct / reply.n AS accuracy_micro,
       max(0.0, (reply.n_correct + z * z / 2 - z * sqrt(1.0 * reply.n_correct * (reply.n - reply.n_correct) / reply.n + z * z / 4)) / (reply.n + z * z))
           AS wilson_low,
       min(1.0, (reply.n_correct + z * z / 2 + z * sqrt(1.0 * reply.n_correct * (reply.n - reply.n_correct) / reply.n + z * z / 4)) / (reply.n + z * z))
           AS wilson_high,
       CASE WHEN n_types > 0 THEN headline_macro END AS accuracy_macro, -- over task types, with the headline's denominators
       CASE WHEN cell.guesses THEN expected / 26771144400.0 / whole.n END AS accuracy_expected, -- with letters drawn as the protocol's program does, on average
       coalesce(reply.n_correct, 0) AS n_correct,
       coalesce(n_answered, 0) AS n_answered,
       coalesce(n_samples, 0) AS n_samples,
       coalesce(n_ok, 0) AS n_ok,
       coalesce(n_failed, 0) AS n_failed,
       coalesce(n_no_answer, 0) AS n_no_answer,
       coalesce(whole.n_correct, 0) AS headline_correct,
       coalesce(whole.n, 0) AS headline_n,
       1.0 * (tokens_visual + tokens_marker) / tokens_before AS ratio,
       1.0 * tokens_visual / (tokens_before - tokens_marker_before) AS ratio_content,
       tokens_mean / 1048576.0 / layers_before AS ratio_mean, -- of tokens per layer of the language model, mean over its layers: ratio, unless
                                                              -- something acts between them
       1.0 * tokens_before / tokens_before_n AS tokens_before,
       1.0 * tokens_visual / tokens_visual_n AS tokens_visual,
       1.0 * tokens_marker / tokens_marker_n AS tokens_marker,
       1.0 * tokens_text / tokens_text_n AS tokens_text,
       1.0 * tokens_generated / tokens_generated_n AS tokens_generated,
       tokens_mean / 1048576.0 / tokens_mean_n AS tokens_mean,
       tokens_cached / 1048576.0 / tokens_cached_n AS tokens_cached,
       1.0 * tokens_guide / tokens_guide_n AS tokens_guide,
       1.0 * shared_layers / shared_layers_n AS shared_layers,
       1.0 * tokens_match / tokens_match_n AS tokens_match, -- a control's: of the cell that it matches; NULL for others
       1.0 * match_distance / tokens_match AS match_off, -- sum of distances to them, question by question, over their sum: 0 where a control has
                                                         -- exactly as many
       cell.compressor,
       cell.params,
       CASE WHEN json_type(cell.params, '$.threshold') IN ('integer', 'real') THEN json_extract(cell.params, '$.threshold') + 0.0
       END AS threshold,
       json_remove(cell.params, '$.threshold', '$.target_ratio') AS variant, -- the other parameters
       cell.profile, cell.macro, cell.macro_types, cell.guesses, cell.sampling, cell.pooling, cell.image_size, cell.newline, cell.conversation,
       cell.prompt_form, cell.time_instruction, cell.repetition_penalty, cell.max_new_tokens, cell.dtype, cell.runner, cell.isa,
       cell.body,
       open_alone_ns / 1e6 / open_alone_ns_n AS open_alone_ms,
       decode_alone_ns / 1e6 / decode_alone_ns_n AS decode_alone_ms,
       resize_alone_ns / 1e6 / resize_alone_ns_n AS resize_alone_ms,
       vision_alone_ns / 1e6 / vision_alone_ns_n AS vision_alone_ms,
       guide_alone_ns / 1e6 / guide_alone_ns_n AS guide_alone_ms,
       compress_alone_ns / 1e6 / compress_alone_ns_n AS compress_alone_ms,
       prefill_alone_ns / 1e6 / prefill_alone_ns_n AS prefill_alone_ms,
       generate_alone_ns / 1e6 / generate_alone_ns_n AS generate_alone_ms,
       open_paid_ns / 1e6 / open_paid_ns_n AS open_paid_ms,
       decode_paid_ns / 1e6 / decode_paid_ns_n AS decode_paid_ms,
       resize_paid_ns / 1e6 / resize_paid_ns_n AS resize_paid_ms,
       vision_paid_ns / 1e6 / vision_paid_ns_n AS vision_paid_ms,
       guide_paid_ns / 1e6 / guide_paid_ns_n AS guide_paid_ms,
       compress_paid_ns / 1e6 / compress_paid_ns_n AS compress_paid_ms,
       prefill_paid_ns / 1e6 / prefill_paid_ns_n AS prefill_paid_ms,
       generate_paid_ns / 1e6 / generate_paid_ns_n AS generate_paid_ms,
       cell.digest,
       model.digest AS model_digest,
       benchmark.digest AS manifest_digest,
       cell.build_digest
FROM cell
JOIN constant
JOIN model ON model.id = cell.model_id
JOIN benchmark ON benchmark.id = cell.benchmark_id
LEFT JOIN asked ON asked.benchmark_id = cell.benchmark_id
LEFT JOIN tally ON tally.cell_id = cell.id
LEFT JOIN reply_sum AS reply ON reply.cell_id = cell.id
LEFT JOIN whole ON whole.cell_id = cell.id
LEFT JOIN macro ON macro.cell_id = cell.id
LEFT JOIN moved ON moved.cell_id = cell.id
ORDER BY benchmark.name, model.name, cell.frames, cell.id;

-- One row per cell with answers, in order of time among the revisions of one point: cells that a sweep file cannot tell apart, and that
-- differ in the bytes of program, model, manifest or in the machine. Where answers come from several starts of the program, revision is
-- the last one's, and device is '' unless all were given on the same.
CREATE VIEW cell_history AS
WITH
    given AS (
        SELECT cell_id,
               min(first_at) AS started_at,
               max(last_at) AS ended_at,
               max(run_id) AS run_id,
               CASE WHEN count(DISTINCT host || char(10) || device) = 1 THEN min(device) ELSE '' END AS device
        FROM answer_count
        JOIN run ON run.id = answer_count.run_id
        GROUP BY cell_id)
SELECT cell_accuracy.id AS cell,
       json_array(cell_accuracy.benchmark, cell_accuracy.model, frames, label, profile, sampling, pooling, newline, conversation, prompt_form,
                  time_instruction, repetition_penalty, max_new_tokens, dtype, runner) AS point,
       given.started_at, given.ended_at, -- of its first and its last answer
       run.revision,
       given.device,
       cell_accuracy.build_digest, model_digest, manifest_digest, isa,
       benchmark, model, frames, label,
       accuracy, accuracy_se, headline_n, n_videos,
       n_correct, n_answered, n_failed, n_samples,
       ratio,
       cell_accuracy.digest
FROM cell_accuracy
JOIN given ON given.cell_id = cell_accuracy.id
JOIN run ON run.id = given.run_id
ORDER BY benchmark, model, frames, point, given.started_at, cell;

-- One row per cell and group of samples: kind is "task_type", "duration", "domain", "sub_category" or a kind of tag. n is the headline's
-- denominator; groups are in the order in which the manifest has them first. accuracy_se and the bounds are as in cell_accuracy.
CREATE VIEW group_accuracy AS
WITH
    constant AS (SELECT 1.959963984540054 AS z),
    tally AS (SELECT * FROM group_sum WHERE kind <> '' AND name <> '')
SELECT cell.id AS cell,
       benchmark.name AS benchmark,
       model.name AS model,
       cell.frames,
       cell.label,
       tally.kind,
       tally.name,
       1.0 * n_correct / n AS accuracy,
       sqrt(1.0 * n_videos / (n_videos - 1) * max(0.0, 1.0 * kk * n * n - 2.0 * nk * n * n_correct + 1.0 * nn * n_correct * n_correct)) / n / n
           AS accuracy_se,
       n_videos,
       max(0.0, (n_correct + z * z / 2 - z * sqrt(1.0 * n_correct * (n - n_correct) / n + z * z / 4)) / (n + z * z)) AS wilson_low,
       min(1.0, (n_correct + z * z / 2 + z * sqrt(1.0 * n_correct * (n - n_correct) / n + z * z / 4)) / (n + z * z)) AS wilson_high,
       n_correct,
       n,
       first_row
FROM tally
JOIN constant
JOIN cell ON cell.id = tally.cell_id
JOIN model ON model.id = cell.model_id
JOIN benchmark ON benchmark.id = cell.benchmark_id
ORDER BY benchmark.name, model.name, cell.frames, cell.id, tally.kind, first_row;

-- One row per cell and task type: the parts that a macro average is the mean of.
CREATE VIEW task_accuracy AS
SELECT cell, benchmark, model, frames, label, name AS task_type, accuracy, wilson_low, wilson_high, n_correct, n
FROM group_accuracy
WHERE kind = 'task_type'
ORDER BY benchmark, model, frames, cell, name;

-- One row per answer that could not be scored, with the reason.
CREATE VIEW failures AS
SELECT cell.id AS cell,
       benchmark.name AS benchmark,
       model.name AS model,
       cell.frames,
       cell.label,
       sample.name AS sample,
       video.name AS video,
       video.path,
       answer.status,
       answer.message,
       answer.run_id AS run,
       answer.answered_at
FROM answer
JOIN cell ON cell.id = answer.cell_id
JOIN model ON model.id = cell.model_id
JOIN sample ON sample.id = answer.sample_id
JOIN benchmark ON benchmark.id = sample.benchmark_id
JOIN video ON video.id = sample.video_id
WHERE answer.failed
ORDER BY cell.id, sample.manifest_row;

-- One row per run: what its answers needed alone, what was paid for, and so what sharing saved. Totals, not means. An attempt that failed
-- and was repeated later counts in neither run.
CREATE VIEW run_cost AS
WITH
    answer_cost AS (
        SELECT answer.run_id,
               answer.cell_id,
               coalesce(open_alone_ms, 0) + coalesce(decode_alone_ms, 0) + coalesce(resize_alone_ms, 0) + coalesce(vision_alone_ms, 0)
                   + coalesce(guide_alone_ms, 0) + coalesce(compress_alone_ms, 0) + coalesce(prefill_alone_ms, 0) + coalesce(generate_alone_ms, 0) AS alone_ms,
               coalesce(open_paid_ms, 0) + coalesce(decode_paid_ms, 0) + coalesce(resize_paid_ms, 0) + coalesce(vision_paid_ms, 0)
                   + coalesce(guide_paid_ms, 0) + coalesce(compress_paid_ms, 0) + coalesce(prefill_paid_ms, 0) + coalesce(generate_paid_ms, 0) AS paid_ms,
               cost.*
        FROM answer
        JOIN cost ON cost.answer_id = answer.id)
SELECT run.id AS run,
       run.sweep_name,
       run.started_at,
       run.ended_at,
       run.outcome,
       count(DISTINCT cell_id) AS n_cells,
       count(answer_id) AS n_answers,
       coalesce(sum(frames), 0) AS frames_alone,
       coalesce(sum(frames_encoded), 0) AS frames_paid,
       coalesce(sum(tokens_visual + tokens_marker + tokens_text), 0) AS rows_prefilled_alone,
       coalesce(sum(tokens_prefilled), 0) AS rows_prefilled_paid,
       coalesce(sum(tokens_generated), 0) AS tokens_generated,
       total(alone_ms) AS alone_ms,
       total(paid_ms) AS paid_ms,
       1 - sum(paid_ms) / sum(alone_ms) AS saved_by_sharing, -- share of the time, 0..1
       total(open_paid_ms) AS open_paid_ms,
       total(decode_paid_ms) AS decode_paid_ms,
       total(resize_paid_ms) AS resize_paid_ms,
       total(vision_paid_ms) AS vision_paid_ms,
       total(guide_paid_ms) AS guide_paid_ms,
       total(compress_paid_ms) AS compress_paid_ms,
       total(prefill_paid_ms) AS prefill_paid_ms,
       total(generate_paid_ms) AS generate_paid_ms,
       max(peak_bytes) AS peak_bytes,
       sum(joules) AS joules
FROM run
LEFT JOIN answer_cost ON answer_cost.run_id = run.id
GROUP BY run.id
ORDER BY run.id;

-- One row per run and video: with sharing, frames_encoded is the number of distinct frames, however many cells and questions there are.
CREATE VIEW video_frames AS
SELECT answer.run_id AS run,
       benchmark.name AS benchmark,
       video.name AS video,
       video.start_s,
       video.end_s,
       count(DISTINCT answer.cell_id) AS n_cells,
       count(*) AS n_answers,
       sum(cost.frames) AS frames_shown,
       sum(cost.frames_encoded) AS frames_encoded
FROM answer
JOIN cost ON cost.answer_id = answer.id
JOIN sample ON sample.id = answer.sample_id
JOIN video ON video.id = sample.video_id
JOIN benchmark ON benchmark.id = sample.benchmark_id
GROUP BY answer.run_id, video.id
ORDER BY answer.run_id, video.id;

-- One row per cell and profile other than its own under which its replies were scored again. Accuracies are over the answers that are not
-- failures; accuracy is the headline as that profile makes it.
CREATE VIEW rescored_accuracy AS
WITH
    scored AS (
        SELECT rescoring.id, sample.task_type, score.correct,
               score.correct <> answer.correct OR score.extracted IS NOT answer.extracted AS flipped,
               score.counted, rescoring.macro_types
        FROM rescoring
        JOIN score ON score.rescoring_id = rescoring.id
        JOIN answer ON answer.id = score.answer_id
        JOIN sample ON sample.id = answer.sample_id),
    tally AS (
        SELECT id, count(*) AS n, sum(correct) AS n_correct, sum(flipped) AS n_flipped, avg(correct) FILTER (WHERE counted) AS micro
        FROM scored
        GROUP BY id),
    macro AS (
        SELECT id, sum(accuracy) / max(count(*), macro_types) AS macro
        FROM (SELECT id, macro_types, avg(correct) AS accuracy FROM scored WHERE counted GROUP BY id, task_type)
        GROUP BY id)
SELECT cell.id AS cell,
       benchmark.name AS benchmark,
       model.name AS model,
       cell.frames,
       cell.label,
       cell.profile AS own_profile,
       rescoring.profile,
       CASE WHEN rescoring.macro THEN macro.macro ELSE tally.micro END AS accuracy,
       1.0 * n_correct / n AS accuracy_micro,
       n_correct,
       n,
       n_flipped, -- another letter than under the cell's own profile
       rescoring.made_at
FROM rescoring
JOIN cell ON cell.id = rescoring.cell_id
JOIN model ON model.id = cell.model_id
JOIN benchmark ON benchmark.id = cell.benchmark_id
LEFT JOIN tally ON tally.id = rescoring.id
LEFT JOIN macro ON macro.id = rescoring.id
ORDER BY cell.id, rescoring.profile;

-- One row per cell that servers answered: what they say it cost, and what asking took. Sums are over answers that report a number.
CREATE VIEW server_usage AS
SELECT cell.id AS cell,
       cell.frames,
       cell.label,
       count(*) AS n_answers,
       sum(remote.attempts) AS n_requests,
       count(remote.usage) AS n_reported,
       sum(remote.prompt_tokens) AS prompt_tokens,
       sum(remote.completion_tokens) AS completion_tokens,
       avg(remote.request_ms) AS request_ms, -- mean, of the requests that ended each answer
       sum(remote.finish = 'length') AS n_cut -- replies that the server cut off
FROM remote
JOIN answer ON answer.id = remote.answer_id
JOIN cell ON cell.id = answer.cell_id
GROUP BY cell.id
ORDER BY cell.id;
