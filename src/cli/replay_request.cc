#include "cli/replay_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "arrivals/spec.h"
#include "cli/cli.h"
#include "cli/replay_calibration.h"
#include "cli/replay_config.h"
#include "cli/validators.h"
#include "replay/duration.h"

namespace polythrottle {
namespace {

using replay::duration_text;
using replay::parse_duration;

constexpr const char* kNoPredictor = "none";

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(',', begin);
    out.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return out;
    begin = end + 1;
  }
}

Result<Seconds> flag_duration(const char* flag, const std::string& text) {
  auto parsed = parse_duration(text);
  if (parsed && *parsed <= Seconds(0)) return fail(Errc::kInvalid, fmt::format("{} {}: give a time above zero", flag, text));
  if (!parsed) parsed.error().what = fmt::format("{}: {}", flag, parsed.error().what);
  return parsed;
}

tl::unexpected<Error> usage(Error error, const std::string& flag) {
  error.code = Errc::kInvalid;
  error.what = flag + ": " + error.what;
  return tl::unexpected<Error>(std::move(error));
}

/// How requests come, ready to be made for any seed.
Status read_arrivals(const ReplayFlags& flags, replay::CompareOptions& compare, ReplayHeading& heading) {
  const auto spec = ArrivalSpec::parse(flags.arrivals);
  if (!spec) return fail(spec.error().code, "--arrivals: " + spec.error().what, spec.error().hint);
  const bool file = !spec->path.empty();
  if (!file && !flags.rate) return fail(Errc::kInvalid, "--rate is missing", "give the requests a second, as in --rate 8");
  if (flags.rate && !(*flags.rate > 0.0)) return fail(Errc::kInvalid, "--rate: give a number above zero");
  compare.arrivals = [spec = *spec, rate = flags.rate, segment = compare.base.duration](std::uint64_t seed) {
    return spec.open(rate, seed, segment);
  };
  auto first = compare.arrivals(flags.seed);
  if (!first) {
    first.error().what = fmt::format("--arrivals: {}", first.error().what);
    return tl::unexpected<Error>(first.error());
  }
  if (file) {
    // Read once, however many runs there are.
    compare.arrivals = [once = *first](std::uint64_t) -> Result<Arrivals> { return once; };
  }
  heading.rate = first->rate();
  const char* kind = flags.arrivals == "poisson" ? "Poisson" : flags.arrivals == "uniform" ? "uniform" : flags.arrivals.c_str();
  heading.arrivals = fmt::format("{}{}, {:.4g} requests/s", kind, file && flags.rate ? " rescaled" : "", heading.rate);
  return {};
}

Result<std::vector<std::string>> read_policies(const std::string& text) {
  std::vector<std::string> out;
  if (text == "all") {
    // In the order in which they give more to the job's side and then take it back: as the tables of arXiv 2310.19991 do.
    for (const char* name : {"inference-only", "greedy", "paper", "adaptive"}) out.emplace_back(name);
    return out;
  }
  for (const auto& name : words_of(text)) {
    const auto found = serving::find_policy(name);
    if (!found) return tl::unexpected<Error>(found.error());
    if (std::find(out.begin(), out.end(), name) != out.end()) return fail(Errc::kInvalid, fmt::format("--policy names {} twice", name));
    out.push_back(name);
  }
  return out;
}

/// Where its co-runs come from.
Status read_predictor(const ReplayFlags& f, ReplayRequest& out) {
  if (!f.predictor.empty() && f.predictor != kNoPredictor) {
    const auto predictor = interference::find_predictor(f.predictor);
    if (!predictor) return usage(predictor.error(), "--predictor");
  }
  if (f.predictor_file.empty()) {
    out.calibrate = f.predictor != kNoPredictor;
    return {};
  }
  if (f.predictor == kNoPredictor)
    return fail(Errc::kInvalid, "--predictor none learns from no file", "leave out --predictor-file, or none");
  auto samples = calibration_for(out.compare.base, f.predictor_file);
  if (!samples) {
    samples.error().what = fmt::format("--predictor-file {}", samples.error().what);
    return tl::unexpected<Error>(samples.error());
  }
  out.compare.samples = [once = std::move(*samples)](const replay::Contender&) -> Result<interference::Samples> { return once; };
  return {};
}

/// The published policy goes with the published predictor.
std::string predictor_of(const ReplayFlags& f, const std::string& policy) {
  if (!f.predictor.empty() && f.predictor != kNoPredictor) return f.predictor;
  return policy == "paper" ? "published" : "physical";
}

std::string predictor_text(const ReplayFlags& f, const std::vector<std::string>& policies) {
  if (f.predictor == kNoPredictor) return "none: it knows no co-runs";
  std::string out;
  for (const auto& policy : policies) {
    const std::string name = predictor_of(f, policy);
    if (std::all_of(policies.begin(), policies.end(), [&](const auto& other) { return predictor_of(f, other) == name; })) {
      out = name;
      break;
    }
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", policy, name);
  }
  return f.predictor_file.empty() ? out : fmt::format("{}; learned from {}", out, f.predictor_file);
}

Status check_slo(Seconds tightest, const replay::Nominal& nominal) {
  Config highest = nominal.reference();
  highest.set("gpu_min_hz", *highest.number("gpu_max_hz"));
  const Seconds fastest = nominal.steady(highest, 1).latency;
  if (tightest >= fastest) return {};
  return fail(Errc::kOutOfRange, fmt::format("an SLO of {} cannot be met: one request alone takes {} at the highest clocks of {}",
                                             duration_text(tightest), duration_text(fastest), nominal.board().name));
}

Status check_rate(double rate, Seconds slo, const replay::Nominal& nominal) {
  const auto highest = nominal.highest_rate(slo);
  if (highest && rate <= highest->per_second) return {};
  return fail(
      Errc::kOutOfRange,
      fmt::format("{:.4g} requests/s cannot be served within {}: the most that {} can is {:.4g}/s, in batches of {} at its highest clocks",
                  rate, duration_text(slo), nominal.board().name, highest ? highest->per_second : 0.0, highest ? highest->batch : 1));
}

Status check_rate_at(const ReplayConfig& config, double rate, Seconds slo, const replay::Nominal& nominal) {
  const auto& row = config.rows[config.row];
  const auto most = nominal.highest_rate(row.config, slo);
  if (!most) {
    return fail(Errc::kOutOfRange, fmt::format("--config {}: no batch is done within {} there", config.word, duration_text(slo)));
  }
  if (rate <= most->per_second) return {};
  return fail(Errc::kOutOfRange,
              fmt::format("--config {}: {:.4g} requests/s cannot be served there; the most is {:.4g}/s, in batches of {}", config.word,
                          rate, most->per_second, most->batch));
}

Status check_memory(const replay::FinetuneJob& job, const replay::Nominal& nominal, simulation::Precision precision, int largest_batch) {
  const auto need = memory_need(nominal.board(), nominal.network(), precision, largest_batch, job);
  if (need.fits()) return {};
  return fail(Errc::kOutOfRange,
              fmt::format("--finetune {}: the job needs {:.1f} GB beside {:.1f} GB of inference, and {} has {:.1f} GB", to_text(job),
                          need.job / 1e9, need.inference / 1e9, nominal.board().name, need.board / 1e9),
              "train fewer layers (train=head), or give a smaller batch");
}

}  // namespace

void bind_replay_flags(CLI::App& c, ReplayFlags& f) {
  const char* kWhat = "What is served";
  c.add_option("--device", f.device, "sim:jetson-tx2 or sim:jetson-orin")->group(kWhat);
  c.add_option("--model", f.model, "efficientnet-b0, -b4, -b7 or bert-base")->group(kWhat);
  c.add_option("--precision", f.precision, "fp16 or fp32")->group(kWhat)->capture_default_str();
  c.add_option("--slo", f.slo, "Longest from arrival to answer: 700ms; changes in time: 250ms,700ms@30s")->group(kWhat);
  c.add_option(
       "--config", f.configs,
       "Clocks and largest batch, repeatable: tuned (default: least simulated energy within the SLO), reference, load-adaptive (docs/load-adaptive.md), KNOB=VALUE,..., or "
       "STUDY.sqlite#best")
      ->group(kWhat)
      ->allow_extra_args(false);

  const char* kLoad = "Load";
  c.add_option("--rate", f.rate, "Requests per second")->check(duration_number())->group(kLoad);
  c.add_option("--arrivals", f.arrivals, "poisson, uniform, a file of arrival times (rescaled to --rate, if that is given), or FILE#bursty for its burstiest part")
      ->group(kLoad)
      ->capture_default_str();
  c.add_option("--duration", f.duration, "Requests that come within it count")->group(kLoad)->capture_default_str();
  c.add_option("--finetune", f.jobs,
               "A job beside it, repeatable: batch=64,iterations=10,outputs=1000[,at=0s][,pieces=64/32/16/8][,deadline=60s]"
               "[,train=head|all|LAYERS][,precision=fp16]")
      ->group(kLoad)
      ->allow_extra_args(false);

  const char* kWho = "Who decides";
  std::string policies;
  for (const auto* driver : serving_drivers()) {
    policies += fmt::format("{}{} ({})", policies.empty() ? "" : ", ", driver->name, driver->summary);
  }
  c.add_option("--policy", f.policy, "One, several with commas between, or all: " + policies)->group(kWho)->capture_default_str();
  std::string predictors;
  for (const auto* driver : interference_drivers()) predictors += fmt::format("{} ({}), ", driver->name, driver->summary);
  c.add_option("--predictor", f.predictor,
               predictors + "none (nothing was measured beforehand); by default published for paper, physical for the others")
      ->group(kWho);
  c.add_option("--predictor-file", f.predictor_file, "Co-runs of interference calibrate, in place of some made before the start")
      ->group(kWho);
  c.add_option("--budget", f.budget, "Of adaptive: probability that a queued request misses its deadline for what is started")
      ->group(kWho)
      ->capture_default_str();
  c.add_flag("--no-wait", f.no_wait, "A batch takes who is there instead of waiting for more")->group(kWho);
  c.add_option("--patience", f.patience, "A job that has not ended after so many durations is given up")
      ->check(duration_number())
      ->group(kWho)
      ->capture_default_str();

  const char* kRuns = "Runs and output";
  c.add_option("--seed", f.seed, "Of arrivals and of the board's noise")->check(whole_number())->group(kRuns)->capture_default_str();
  c.add_option("--seeds", f.seeds, "Runs, with this seed and those after it")->check(whole_number())->group(kRuns)->capture_default_str();
  c.add_option("--faults", f.faults, "Nodes that fail, see docs/simulation.md")->group(kRuns);
  c.add_option("--json", f.json, "Result as JSON to this file, - for stdout")->group(kRuns);
  c.add_option("--decisions", f.decisions, "Every decision of the first seed as a JSON line to this file, - for stdout")->group(kRuns);
  c.add_option("--timeline", f.timeline,
               "The first policy's first seed in the course of time: FILE.csv, or FILE.svg by the program gnuplot")
      ->group(kRuns);
  c.add_flag("--quiet", f.quiet, "No progress")->group(kRuns);
  c.footer(
      "Examples:\n"
      "  polythrottle replay --device sim:jetson-orin --model efficientnet-b7 --slo 700ms --rate 8 \\\n"
      "      --finetune batch=64,iterations=10,outputs=1000 --policy all --seeds 10\n"
      "  polythrottle replay --device sim:jetson-tx2 --model efficientnet-b4 --slo 1s --rate 2 --config reference --config tuned");
}

Result<ReplayRequest> replay_request(const ReplayFlags& f) {
  ReplayRequest out;
  replay::ReplayOptions& o = out.compare.base;
  if (!f.device.starts_with("sim:")) {
    return fail(Errc::kInvalid,
                f.device.empty() ? "--device is missing" : fmt::format("--device {}: a replay needs a simulated board", f.device),
                "one of sim:jetson-tx2, sim:jetson-orin");
  }
  o.board = f.device.substr(4);
  o.network = f.model;
  if (f.model.empty())
    return fail(Errc::kInvalid, "--model is missing", "one of efficientnet-b0, efficientnet-b4, efficientnet-b7, bert-base");
  if (const auto board = simulation::find_board(o.board); !board) return usage(board.error(), "--device");
  if (const auto network = simulation::find_network(o.network); !network) return usage(network.error(), "--model");
  const auto precision = simulation::find_precision(f.precision);
  if (!precision) return usage(precision.error(), "--precision");
  o.precision = *precision;
  if (f.slo.empty()) return fail(Errc::kInvalid, "--slo is missing", "give the longest a request may take, as in --slo 700ms");
  TRY(const auto slo, replay::parse_slo_schedule(f.slo));
  o.slo = slo.first;
  o.slo_changes = slo.changes;
  out.heading.slo = slo.text();
  TRY(o.duration, flag_duration("--duration", f.duration));
  TRY_STATUS(read_arrivals(f, out.compare, out.heading));
  for (const auto& text : f.jobs) {
    TRY(auto job, replay::parse_finetune(text));
    o.jobs.push_back(std::move(job));
  }
  TRY(const auto policies, read_policies(f.policy));
  if (!(f.budget > 0.0 && f.budget < 1.0)) return fail(Errc::kInvalid, fmt::format("--budget {}: give a number between 0 and 1", f.budget));
  if (!(f.patience >= 1.0)) return fail(Errc::kInvalid, "--patience: give 1 or more");
  if (f.seeds < 1 || f.seeds > 10'000) return fail(Errc::kInvalid, "--seeds: give 1 to 10,000");
  o.policy_options = {.budget = f.budget, .wait = !f.no_wait};
  o.patience = f.patience;
  o.faults = f.faults;
  out.compare.first_seed = f.seed;
  out.compare.seeds = f.seeds;
  TRY_STATUS(read_predictor(f, out));
  o.keep_decisions = !f.decisions.empty();
  o.keep_requests = o.keep_timeline = !f.timeline.empty();

  // From here on the words are right, and the board may still be too small.
  TRY(const auto nominal, replay::Nominal::make(o.board, o.network, o.precision));
  const Seconds tightest = slo.tightest();
  TRY_STATUS(check_slo(tightest, nominal));
  // The server is taken to have served this rate for a while.
  o.expected_rate = out.heading.rate;
  TRY_STATUS(check_rate(out.heading.rate, o.slo, nominal));
  std::vector<std::string> words = f.configs;
  if (words.empty()) words = {"tuned"};
  for (const auto& word : words) {
    TRY(const auto config, replay_config(word, nominal, o.precision, tightest, out.heading.rate, !f.no_wait));
    TRY_STATUS(check_rate_at(config, out.heading.rate, tightest, nominal));
    for (const auto& job : o.jobs) TRY_STATUS(check_memory(job, nominal, o.precision, config.rows[config.row].max_batch));
    for (const auto& policy : policies) {
      const std::string name = words.size() == 1 ? policy : policies.size() == 1 ? word : policy + ", " + word;
      out.compare.contenders.push_back(
          {.name = name, .policy = policy, .predictor = predictor_of(f, policy), .rows = config.rows, .row = config.row, .row_choice = config.row_choice});
      out.heading.configs.push_back(config.origin);
      out.compare.contenders.back().costs = config.costs;
    }
    if (!config.note.empty()) out.heading.notes.push_back(config.word + ": " + config.note);
  }

  out.heading.device = f.device;
  out.heading.board = "simulated " + nominal.board().title;
  out.heading.model = fmt::format("{} {}", o.network, simulation::to_string(o.precision));
  out.heading.duration = o.duration;
  out.heading.predictor = predictor_text(f, policies);
  out.heading.first_seed = f.seed;
  out.heading.seeds = f.seeds;
  return out;
}

}  // namespace polythrottle
