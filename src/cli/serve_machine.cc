#include "cli/serve_machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/borrow.h"
#include "cli/dimensions.h"
#include "cli/question.h"
#include "cli/replay_config.h"
#include "cli/rows_of_study.h"
#include "engine/graph_cost.h"
#include "engine/hash.h"
#include "engine/kserve.h"
#include "engine/simulated.h"
#include "replay/job.h"
#include "report/profile.h"
#include "report/report.h"
#include "serving/load_adaptive.h"

namespace polythrottle {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> usage(Error error) {
  error.code = Errc::kInvalid;
  return tl::unexpected<Error>(std::move(error));
}

bool is_program(const std::string& name) { return name == "batch" || name == "threads" || name == "instances"; }

/// The part of a configuration that is the machine's.
Config machine_part(const Config& config) {
  Config out;
  for (const auto& [name, value] : config.entries()) {
    if (!is_program(name)) out.set(name, value);
  }
  return out;
}

Config program_part(const Config& config) {
  Config out;
  for (const auto& [name, value] : config.entries()) {
    if (is_program(name)) out.set(name, value);
  }
  return out;
}

int batch_of(const Config& config, int otherwise) {
  return static_cast<int>(std::max(1.0, config.number("batch").value_or(static_cast<double>(otherwise))));
}

bool is_study(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic(16, ' ');
  return file.read(magic.data(), 16) && magic == std::string("SQLite format 3\0", 16);
}

/// A study's best or a profile's setting, whichever the file is.
Result<Profile> read_profile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return tl::unexpected<Error>(system_error("read " + path, errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (is_study(path)) {
    TRY(const auto summary, summarize_file({.study = path, .slo = {}, .constraints = {}}, std::nullopt));
    return profile_of(summary);
  }
  auto profile = parse_profile(text.str());
  if (!profile) profile.error().what = path + ": " + profile.error().what;
  return profile;
}

/// A knob's value, and its unit apart.
std::pair<std::string, std::string> in_unit(const std::string& name, const Value& value) {
  const auto* number = std::get_if<double>(&value);
  if (number != nullptr && name.ends_with("_hz")) return {fmt::format("{:.7g}", *number / 1e6), "MHz"};
  return {to_text(value), name.ends_with("_watts") ? "W" : ""};
}

std::string word_of_study(const std::string& config) { return config.ends_with("#best") ? config.substr(0, config.size() - 5) : config; }

}  // namespace

Result<std::map<std::string, std::int64_t>> dimensions_of(const ServeFlags& flags) { return parse_dimensions(flags.dimensions); }

Result<std::unique_ptr<ServeMachine>> ServeMachine::open(const ServeFlags& flags, Cli& cli) {
  std::unique_ptr<ServeMachine> out(new ServeMachine());
  if (flags.device.starts_with("sim:")) {
    if (!flags.upstream.empty()) return fail(Errc::kInvalid, "--upstream and a simulated board do not go together");
    if (const auto network = simulation::find_network(flags.model); !network) return usage(network.error());
    if (const auto precision = simulation::find_precision(flags.precision); !precision) return usage(precision.error());
    auto board = simulation::Machine::make(flags.device.substr(4), {.seed = flags.seed, .wall_paced = true});
    if (!board) return usage(board.error());
    out->board_ = std::move(*board);
    out->host_ = std::make_unique<Host>(out->board_->host());
    std::string pattern = (fs::temp_directory_path() / "polythrottle-serve.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return tl::unexpected<Error>(system_error("make folder " + pattern, errno));
    out->folder_ = pattern;
  } else if (flags.device == "cpu") {
    out->here_ = std::make_unique<ThisMachine>(cli.sysroot, cli.gpu, cli.injection);
    TRY_STATUS(out->here_->check_gpu());
    const auto back = bring_back_leftovers(out->here_->host(), out->here_->record_path(), {});
    if (!back) return tl::unexpected<Error>(back.error());
  } else {
    return fail(Errc::kInvalid, fmt::format("--device {}", flags.device), "give cpu (this machine), sim:jetson-tx2 or sim:jetson-orin");
  }
  out->machine_ = discover(out->host(), {});
  return out;
}

ServeMachine::~ServeMachine() {
  (void)give_back();
  lease_.reset();
  machine_ = {};
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

Host& ServeMachine::host() { return host_ ? *host_ : here_->host(); }

std::string ServeMachine::words() const { return board_ ? "simulated " + board_->board().title : machine_.description; }

Result<ServeRows> ServeMachine::rows(const ServeFlags& flags, Seconds slo) {
  if (board_) return board_rows(flags, slo);
  if (!flags.config.empty() && flags.config != "as-found") return study_rows(flags, slo);
  ServeRows out;
  serving::Row row;
  row.config.set("batch", static_cast<double>(flags.batch));
  row.max_batch = flags.batch;
  out.rows = {std::move(row)};
  out.origin = "clocks as found";
  return out;
}

Result<ServeRows> ServeMachine::board_rows(const ServeFlags& flags, Seconds slo) {
  TRY(const auto precision, simulation::find_precision(flags.precision));
  TRY(const auto nominal, replay::Nominal::make(board_->board().name, flags.model, precision));
  const std::string word = flags.config.empty() ? "tuned" : flags.config == "as-found" ? "reference" : flags.config;
  TRY(auto config, replay_config(word, nominal, precision, slo, flags.rate, !flags.no_wait));
  return ServeRows{.rows = std::move(config.rows),
                   .costs = std::move(config.costs),
                   .study = {},
                   .row = config.row,
                   .choice = std::move(config.row_choice),
                   .origin = std::move(config.origin),
                   .program = {}};
}

Result<ServeRows> ServeMachine::study_rows(const ServeFlags& flags, Seconds slo) {
  const bool adaptive = flags.config.ends_with("#load-adaptive");
  const std::string path = adaptive ? flags.config.substr(0, flags.config.rfind('#')) : word_of_study(flags.config);
  TRY(const auto profile, read_profile(path));
  TRY_STATUS(check_machine(profile, machine_facts(host())));
  if (!profile.model.empty() && flags.upstream.empty() && fs::path(profile.model).filename() != fs::path(flags.model).filename()) {
    return fail(Errc::kInvalid, fmt::format("{} was made for {}, not for {}", path, profile.model, flags.model),
                "tune this model, or serve with --config as-found");
  }
  ServeRows out;
  out.program = profile.program;
  if (adaptive) {
    TRY(auto rows, rows_of_study(path, slo, serving_model(!flags.no_wait)));
    const auto threads = program_part(profile.program).number("threads");
    for (const auto& row : rows.rows) {
      if (row.config.number("threads") != threads) {
        return fail(Errc::kUnsupported, fmt::format("{}: its settings differ in threads, which cannot be changed while serving", path),
                    "tune with --knob threads=off, or serve the best setting alone");
      }
    }
    const serving::LoadAdaptiveOptions options = load_adaptive_options(rows, !flags.no_wait);
    TRY_STATUS(serving::LoadAdaptive::make(options, slo));
    out.origin = fmt::format("load-adaptive, {} rows of {}", rows.rows.size(), path);
    out.rows = std::move(rows.rows);
    out.costs = std::move(rows.costs);
    out.study = path;
    out.row = rows.tuned;
    out.choice = [options, slo] { return std::move(*serving::LoadAdaptive::make(options, slo)); };
    return out;
  }
  serving::Row row;
  row.config = profile.settings;
  row.max_batch = batch_of(profile.program, flags.batch);
  row.config.set("batch", static_cast<double>(row.max_batch));
  if (is_study(path)) {
    out.study = path;
    // What a study lacks for serving by load (idle power, say) may be lacking here too; then nothing is watched.
    if (auto measured = rows_of_study(path, slo, serving_model(!flags.no_wait));
        measured && measured->rows[measured->tuned].config == row.config) {
      out.costs = {std::move(measured->costs[measured->tuned])};
    }
  }
  out.rows = {std::move(row)};
  out.origin = "best of " + path;
  return out;
}

Status ServeMachine::borrow(const ServeRows& rows) {
  std::vector<std::string> wanted;
  for (const auto& row : rows.rows) {
    const Config settings = machine_part(row.config);
    for (const auto& [name, value] : settings.entries()) {
      if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) wanted.push_back(name);
    }
  }
  if (wanted.empty()) return {};
  std::vector<Knob*> knobs;
  for (const auto* list : {&machine_.knobs, &machine_.knobs_by_request}) {
    for (const auto& knob : *list) {
      const auto found = std::find(wanted.begin(), wanted.end(), knob->parameter().name);
      if (found == wanted.end()) continue;
      knobs.push_back(knob.get());
      wanted.erase(found);
    }
  }
  if (!wanted.empty()) {
    return fail(Errc::kNotFound, fmt::format("this machine has no knob '{}'", wanted.front()), "'polythrottle probe' lists those it has");
  }
  LeaseOptions options = board_ ? LeaseOptions{.record_path = folder_ + "/lease.json"} : lease_options(*here_);
  TRY(lease_, ::polythrottle::borrow(host(), knobs, std::move(options)));
  return {};
}

Result<bool> ServeMachine::set(const serving::Row& row) {
  const std::lock_guard lock(mutex_);
  if (!lease_) return true;
  const Config wanted = machine_part(row.config);
  TRY(const Config got, lease_->apply(wanted));
  asked_ = wanted;
  set_ = true;
  rival_ = false;
  for (const auto& [name, value] : wanted.entries()) {
    if (got.get(name) != value) return false;
  }
  return true;
}

bool ServeMachine::give_back() {
  const std::lock_guard lock(mutex_);
  return !lease_ || ::polythrottle::give_back(*lease_);
}

std::vector<server::KnobReading> ServeMachine::knobs() {
  const std::lock_guard lock(mutex_);
  std::vector<server::KnobReading> out;
  if (!lease_) return out;
  const auto now = lease_->now();
  if (!now) return out;
  for (const auto& [name, value] : now->entries()) {
    const auto asked = asked_.get(name);
    const auto got = in_unit(name, value);
    out.push_back({name, asked ? in_unit(name, *asked).first : "", got.first, got.second});
    if (set_ && asked && *asked != value) rival_ = true;
  }
  return out;
}

bool ServeMachine::rival() {
  const std::lock_guard lock(mutex_);
  return std::exchange(rival_, false);
}

Result<std::shared_ptr<Backend>> ServeMachine::engine(const ServeFlags& flags, const std::string& path) {
  if (board_) {
    TRY(const auto precision, simulation::find_precision(flags.precision));
    TRY(auto backend, open_simulated_backend(*board_, {.network = flags.model, .precision = precision}));
    return std::shared_ptr<Backend>(std::move(backend));
  }
  if (!flags.upstream.empty()) {
    TRY(auto backend, open_kserve({.url = flags.upstream, .model = path, .version = ""}));
    return std::shared_ptr<Backend>(std::move(backend));
  }
  EngineOptions options{.threads = flags.threads, .provider = flags.provider, .dimensions = {}, .inputs = {}};
  TRY(auto backend, open_onnx_backend(path, options));
  return std::shared_ptr<Backend>(std::move(backend));
}

Result<interference::WorkCost> ServeMachine::cost(const ServeFlags& flags) const {
  if (board_) {
    TRY(const auto* network, simulation::find_network(flags.model));
    return replay::inference_cost(*network);
  }
  // Of an upstream's model nothing is known but how long it takes: one that is bound by arithmetic stands for it.
  const interference::WorkCost unknown{.macs = 1e9, .weights = 1e7, .activations = 1e7, .kernels = 100};
  if (!flags.upstream.empty()) return unknown;
  TRY(auto dimensions, dimensions_of(flags));
  const auto graph = count_graph(flags.model, {.dimensions = std::move(dimensions), .batch = {}});
  if (!graph || graph->macs() <= 0.0) return unknown;
  const double items = static_cast<double>(graph->batch);
  return interference::WorkCost{.macs = graph->macs() / items,
                                .weights = graph->weights().elements,
                                .activations = graph->activations().elements / items,
                                .kernels = static_cast<double>(graph->kernels.size())};
}

}  // namespace polythrottle
