#include "cli/tune_search.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "journal/journal.h"
#include "optimizer/phases.h"
#include "study/facts.h"
#include "trial/search_limits.h"

namespace polythrottle {
namespace {

/// The first of the flags that only a steered optimizer takes; empty if none was given.
std::string steering_flag(const TuneOptions& o) {
  if (o.explore) return "--explore";
  if (o.min_gain) return "--min-gain";
  if (o.horizon) return "--horizon";
  return o.warm_start.empty() ? "" : "--warm-start";
}

std::string steered_drivers() {
  std::string names;
  for (const auto* driver : optimizer_drivers()) {
    if (driver->steered) names += fmt::format("{}{}", names.empty() ? "" : ", ", driver->name);
  }
  return names;
}

tl::unexpected<Error> behind_flag(const std::string& flag, Error error) {
  error.what = flag + ": " + error.what;
  return tl::unexpected<Error>(std::move(error));
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  const bool same = std::filesystem::equivalent(a, b, error);
  return error ? a == b : same;
}

Result<EarlierStudy> open_earlier(const std::string& path) {
  const auto journal = open_sqlite_journal(path, OpenMode::kReadOnly);
  if (!journal) return behind_flag("--warm-start", journal.error());
  auto earlier = earlier_study(path, **journal);
  if (!earlier) return behind_flag("--warm-start " + path, earlier.error());
  return earlier;
}

}  // namespace

Result<const OptimizerDriver*> find_driver(const std::string& name) {
  for (const auto* driver : optimizer_drivers()) {
    if (driver->name == name) return driver;
  }
  return tl::unexpected<Error>(make_optimizer(name).error());
}

Status check_search(const TuneOptions& o) {
  TRY(const auto* driver, find_driver(o.optimizer));
  if (const std::string flag = steering_flag(o); !flag.empty() && !driver->steered) {
    return fail(Errc::kInvalid, fmt::format("the optimizer {} cannot be steered with {}", o.optimizer, flag),
                "use --optimizer " + steered_drivers());
  }
  if (o.explore) TRY_STATUS(parse_explore(*o.explore));
  const auto flag = [](const char* name, const auto& parsed) -> Status {
    if (parsed) return {};
    return fail(parsed.error().code, fmt::format("{} {}", name, parsed.error().what), parsed.error().hint);
  };
  if (o.min_gain) TRY_STATUS(flag("--min-gain", parse_min_gain(*o.min_gain)));
  if (o.horizon) TRY_STATUS(flag("--horizon", parse_horizon(*o.horizon)));
  if (o.horizon) {
    TRY(const auto objective, parse_objective(o.objective));
    if (objective.metric != kEnergy) return fail(Errc::kInvalid, "--horizon weighs joules against joules", "it needs --objective energy");
  }
  if (o.phases != "joint" && o.phases != "paper") {
    return fail(Errc::kInvalid, fmt::format("unknown --phases '{}'", o.phases), "one of joint, paper");
  }
  if (o.max_violations && *o.max_violations == 0) {
    return fail(Errc::kInvalid, "--max-violations 0 would end the search before it began",
                "--explore strict tries only what is expected to meet the limits, --max-violations 1 stops at the first that does not");
  }
  return {};
}

Result<SearchOptions> make_search(const TuneOptions& o) {
  SearchOptions search;
  if (o.explore) {
    TRY(search.explore, parse_explore(*o.explore));
  }
  if (o.min_gain) {
    TRY(search.min_gain, parse_min_gain(*o.min_gain));
  }
  if (o.horizon) {
    TRY(search.horizon_inferences, parse_horizon(*o.horizon));
  }
  for (const auto& path : o.warm_start) {
    if (!o.study.empty() && same_file(path, o.study)) {
      return fail(Errc::kInvalid, fmt::format("--warm-start {} is the study itself", path), "name an earlier one");
    }
    for (const auto& other : search.earlier) {
      if (same_file(path, other.name)) return fail(Errc::kInvalid, fmt::format("--warm-start {} is given twice", path), "leave one out");
    }
    TRY(auto earlier, open_earlier(path));
    search.earlier.push_back(std::move(earlier));
  }
  return search;
}

Result<std::unique_ptr<Optimizer>> make_searcher(const TuneOptions& o, const Space& space) {
  TRY(const auto* driver, find_driver(o.optimizer));
  if (o.phases != "paper") return driver->make();
  TRY_STATUS(check_phases(space));
  return make_paper_phases(driver->make);
}

Json search_fact(const TuneOptions& o, const SearchOptions& search) {
  Json out{{"phases", o.phases}};
  const auto driver = find_driver(o.optimizer);
  if (!driver || !(*driver)->steered) return out;
  out["explore"] = to_string(search.explore);
  out["min_gain"] = search.min_gain;
  out["horizon_inferences"] = nullptr;
  if (search.horizon_inferences) out["horizon_inferences"] = *search.horizon_inferences;
  out["warm_start"] = Json::array();
  for (const auto& earlier : search.earlier) out["warm_start"].push_back({{"study", earlier.name}, {"trials", earlier.history.size()}});
  return out;
}

std::string describe_search(const TuneOptions& o, const SearchOptions& search) {
  std::string out = o.optimizer;
  const auto driver = find_driver(o.optimizer);
  if (driver && (*driver)->steered) {
    out += fmt::format(", {}, until one more trial is expected to save less than {:.3g} %", to_string(search.explore),
                       100.0 * search.min_gain);
    if (search.horizon_inferences) out += fmt::format(" or less than it costs within {:.3g} inferences", *search.horizon_inferences);
    for (const auto& earlier : search.earlier) out += fmt::format("; warm start from {} ({} trials)", earlier.name, earlier.history.size());
  }
  if (o.max_violations) out += fmt::format("; at most {} trials that break a limit", *o.max_violations);
  if (o.phases == "paper") out += "; CPU clock first, then the rest";
  return out;
}

}  // namespace polythrottle
