#pragma once
// What `polythrottle job` makes of words and answers: no network, no terminal.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "job/job.h"

namespace polythrottle {

/// What stands on the command line of `job submit`.
struct JobWords {
  std::string name, memory, deadline, slice, kind, folder;
  std::optional<double> cpus;
  std::vector<std::string> environment;               ///< NAME=VALUE each
  std::optional<std::vector<std::string>> command{};  ///< behind --
};
/// Errors: kInvalid.
Result<job::Spec> spec_from(const JobWords& words);

/// "512M", "1.5GB", "2GiB", "1000000" in bytes; K, M, G and T are powers of 1024, with or without "B" or "iB". Errors: kInvalid.
Result<double> parse_bytes(const std::string& text);

/// The answer to GET /v1/jobs as a table. Errors: kCorrupt.
Result<std::string> job_table(std::string_view json);

/// What is wrong, of an answer with an error's status: its "error", or the status alone.
std::string refusal_words(int status, std::string_view json);

}  // namespace polythrottle
