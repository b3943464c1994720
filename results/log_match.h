/* Log match: entries of samples logs, each on the question of a manifest that it answers. */
#ifndef TOKSWEEP_RESULTS_LOG_MATCH_H
#define TOKSWEEP_RESULTS_LOG_MATCH_H

#include "core/sample.h"
#include "results/sample_log.h"

/* Finds the question of every entry by the task of its log and its doc_id, and holds the two against each other: target, and what the
 * metric names. out[i] is the entry of manifest sample i, NULL where no log has it; [n_samples], the caller's; borrows from the logs.
 * ERR_DATA: a log of another task or manifest, a row that the manifest lacks, a question answered twice. ERR_CONFIG: lmms-eval has no
 * such benchmark. */
int log_match(const struct logged **out, const struct manifest *manifest, const struct sample_log *logs, size_t n_logs, struct err *err);

#endif
