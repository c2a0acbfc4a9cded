#include "bench/peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "bench/peer_process.h"
#include "optimizer/candidates.h"
#include "trial/json.h"

namespace polythrottle::bench {
namespace {

constexpr std::chrono::seconds kPatience{60};
/// Proposals of settings that were tried already, in a row, before a random one takes their place.
constexpr int kRepeats = 3;
constexpr std::chrono::seconds kFarewell{1};
constexpr std::size_t kQuoted = 120;

PeerProcess::Clock::time_point deadline() { return PeerProcess::Clock::now() + kPatience; }

std::string quoted(const Json& answer) { return answer.dump().substr(0, kQuoted); }

/// One line there, one line back.
Result<Json> exchange(PeerProcess& process, const Json& question) {
  TRY_STATUS(process.write_line(question.dump(), deadline()));
  TRY(const std::string line, process.read_line(deadline()));
  auto answer = parse_json(line);
  if (answer && answer->is_object()) return answer;
  return tl::unexpected<Error>(process.complaint(Errc::kCorrupt, fmt::format("answered '{}'", line.substr(0, kQuoted))));
}

/// What it says of itself; answered when it is ready.
Result<std::string> about(PeerProcess& process) {
  TRY(const Json answer, exchange(process, {{"about", true}}));
  const auto text = answer.find("about");
  if (text != answer.end() && text->is_string()) return text->get<std::string>();
  return tl::unexpected<Error>(process.complaint(Errc::kCorrupt, "gave an answer without a text 'about': " + quoted(answer)));
}

Json parameters_of(const Space& space) {
  Json out = Json::array();
  for (const Parameter& parameter : space.parameters()) {
    Json levels = Json::array();
    for (const Value& level : parameter.levels) levels.push_back(to_json(level));
    out.push_back({{"name", parameter.name}, {"unit", parameter.unit}, {"role", to_string(parameter.role)}, {"levels", levels}});
  }
  return out;
}

Json candidates_of(const Space& space) {
  Json out = Json::array();
  for (CandidateId id = 0; id < space.size(); ++id) out.push_back(space.levels(id));
  return out;
}

/// The latency limit of the problem with its tolerance, seconds; null where it has none.
Json limit_of(const Problem& problem) {
  for (const Constraint& constraint : problem.constraints) {
    if (constraint.metric == kLatencyMean) return kSlack * constraint.limit;
  }
  return nullptr;
}

Json start_message(const Problem& problem, std::size_t cap) {
  return {{"start",
           {{"protocol", 1},
            {"seed", problem.seed},
            {"parameters", parameters_of(problem.space)},
            {"candidates", candidates_of(problem.space)},
            {"reference", *problem.space.find(problem.reference)},
            {"objective", "minimize energy"},
            {"limit", limit_of(problem)},
            {"cap", cap}}}};
}

/// Value and standard error of a metric, null where there is none.
std::pair<Json, Json> numbers_of(const Trial& trial, std::string_view metric) {
  const auto it = trial.metrics().find(metric);
  if (it == trial.metrics().end()) return {nullptr, nullptr};
  return {it->second.value, it->second.std_error ? Json(*it->second.std_error) : Json(nullptr)};
}

Json tell_message(const Problem& problem, const Trial& trial) {
  const auto [energy, energy_error] = numbers_of(trial, problem.objective.metric);
  const auto [latency, latency_error] = numbers_of(trial, kLatencyMean);
  return {{"tell",
           {{"candidate", *problem.space.find(trial.asked)},
            {"energy", energy},
            {"latency", latency},
            {"energy_error", energy_error},
            {"latency_error", latency_error}}}};
}

class Peer final : public Optimizer {
 public:
  Peer(std::string command, std::size_t cap, std::unique_ptr<PeerProcess> process)
      : command_(std::move(command)), cap_(cap), process_(std::move(process)) {}
  ~Peer() override {
    // A peer that does not listen any more loses nothing by it.
    (void)process_->write_line(Json{{"end", true}}.dump(), PeerProcess::Clock::now() + kFarewell);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  Result<Advice> ask(const Problem& problem, std::span<const Trial> history) override {
    TRY_STATUS(tell(problem, history));
    const std::vector<bool> open = open_candidates(problem.space, history);
    if (std::find(open.begin(), open.end(), true) == open.end()) return space_exhausted();
    for (int attempt = 0; attempt < kRepeats; ++attempt) {
      TRY(const CandidateId id, propose(problem.space.size(), history.size() + 1, open));
      if (open[id]) return advice(problem.space, id, "proposed by " + command_);
    }
    return advice(problem.space, random_open(open, problem.seed + history.size()), "at random: the peer repeats itself");
  }

  std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history) override {
    if (!recommended_) return polythrottle::recommend(problem, history);
    return Recommendation{problem.space.config(*recommended_), 1.0, true};
  }

 private:
  /// All that happened since it was asked last.
  Status tell(const Problem& problem, std::span<const Trial> history) {
    if (!started_) TRY_STATUS(process_->write_line(start_message(problem, cap_).dump(), deadline()));
    started_ = true;
    for (; told_ < history.size(); ++told_) {
      TRY_STATUS(process_->write_line(tell_message(problem, history[told_]).dump(), deadline()));
    }
    return {};
  }

  Result<CandidateId> propose(std::size_t candidates, std::size_t number, const std::vector<bool>& open) {
    TRY(const Json answer, exchange(*process_, {{"ask", number}}));
    const auto proposed = candidate_in(answer, "candidate", candidates);
    if (!proposed) return tl::unexpected<Error>(misanswered(answer, "without a 'candidate' of the list"));
    if (answer.contains("recommend") && !answer["recommend"].is_null()) {
      recommended_ = candidate_in(answer, "recommend", candidates);
      if (!recommended_ || open[*recommended_]) return tl::unexpected<Error>(misanswered(answer, "whose 'recommend' was not tried"));
    }
    return *proposed;
  }

  static std::optional<CandidateId> candidate_in(const Json& answer, const char* key, std::size_t candidates) {
    const auto it = answer.find(key);
    if (it == answer.end() || !it->is_number_integer() || it->is_number_float()) return std::nullopt;
    const auto number = it->get<std::int64_t>();
    if (number < 0 || static_cast<std::size_t>(number) >= candidates) return std::nullopt;
    return static_cast<CandidateId>(number);
  }

  Error misanswered(const Json& answer, const char* how) const {
    return process_->complaint(Errc::kCorrupt, fmt::format("gave an answer {}: {}", how, quoted(answer)));
  }

  static CandidateId random_open(const std::vector<bool>& open, std::uint64_t seed) {
    const auto order = seeded_permutation(open.size(), seed);
    return *std::find_if(order.begin(), order.end(), [&](CandidateId id) { return open[id]; });
  }

  static Advice advice(const Space& space, CandidateId id, std::string reason) {
    return {Advice::Kind::kTry, space.config(id), std::move(reason), {}};
  }

  std::string command_;
  std::size_t cap_;
  std::unique_ptr<PeerProcess> process_;
  bool started_ = false;
  std::size_t told_ = 0;
  std::optional<CandidateId> recommended_;
};

}  // namespace

Result<std::string> about_peer(const std::string& command) {
  TRY(const auto process, PeerProcess::start(command));
  return about(*process);
}

Result<std::unique_ptr<Optimizer>> make_peer(const std::string& command, std::size_t cap) {
  TRY(auto process, PeerProcess::start(command));
  TRY_STATUS(about(*process));
  return std::make_unique<Peer>(command, cap, std::move(process));
}

}  // namespace polythrottle::bench
