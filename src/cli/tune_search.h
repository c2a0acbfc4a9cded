#pragma once
// How `tune` was asked to search: flags checked, earlier studies read.

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/tune_options.h"
#include "optimizer/optimizer.h"
#include "space/space.h"
#include "trial/json.h"

namespace polythrottle {

/// The driver of --optimizer. Errors: kInvalid with the list.
Result<const OptimizerDriver*> find_driver(const std::string& name);

/// Everything of the search that can be checked without a file. Errors: kInvalid.
Status check_search(const TuneOptions& options);

/// The options for the optimizer; opens the studies of --warm-start, read-only. Expects that `check_search` went well.
/// Errors: kInvalid if one of them is the study itself or is named twice; those of reading one.
Result<SearchOptions> make_search(const TuneOptions& options);

/// The optimizer with its phases. Errors: kInvalid if the space has nothing for --phases paper.
Result<std::unique_ptr<Optimizer>> make_searcher(const TuneOptions& options, const Space& space);

/// What must not differ when a study goes on: the fact `search`.
Json search_fact(const TuneOptions& options, const SearchOptions& search);
/// One line for people.
std::string describe_search(const TuneOptions& options, const SearchOptions& search);

}  // namespace polythrottle
