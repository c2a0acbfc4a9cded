#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/open_device.h"
#include "engine/hash.h"
#include "study/summary.h"
#include "workload/recorded.h"

namespace polythrottle {
namespace {

/// Keeps the rows whose knobs have the wanted levels ("off": that of the reference).
Status restrict(RecordedTable& table, const std::map<std::string, std::vector<std::string>>& wanted) {
  if (wanted.empty()) return {};
  std::map<std::string, std::vector<Value>> keep;
  for (const auto& [name, texts] : wanted) {
    const auto& all = table.space.parameters();
    const auto p = std::find_if(all.begin(), all.end(), [&name = name](const auto& candidate) { return candidate.name == name; });
    if (p == all.end()) return fail(Errc::kInvalid, fmt::format("--knob: the table has no knob '{}'", name));
    if (texts.empty()) keep[name].push_back(*table.reference.get(name));
    for (const auto& text : texts) {
      TRY(auto level, parse_level(*p, text));
      keep[name].push_back(std::move(level));
    }
  }
  const auto wanted_here = [&](const Config& config) {
    return std::all_of(keep.begin(), keep.end(), [&](const auto& entry) {
      return std::find(entry.second.begin(), entry.second.end(), *config.get(entry.first)) != entry.second.end();
    });
  };
  if (!wanted_here(table.reference))
    return fail(Errc::kInvalid, "--knob leaves out the reference setting", "keep its levels: " + table.reference.text());
  std::vector<Config> rows;
  std::vector<std::vector<Metrics>> cells;
  for (CandidateId id = 0; id < table.space.size(); ++id) {
    if (!wanted_here(table.space.config(id))) continue;
    rows.push_back(table.space.config(id));
    cells.push_back(table.cells[id]);
  }
  std::vector<Parameter> parameters = table.space.parameters();
  for (auto& p : parameters) {
    std::erase_if(p.levels, [&](const Value& level) {
      return std::none_of(rows.begin(), rows.end(), [&](const Config& c) { return *c.get(p.name) == level; });
    });
  }
  TRY(table.space, Space::list(std::move(parameters), rows));
  table.cells = std::move(cells);
  return {};
}

}  // namespace

Result<OpenedDevice> open_recorded_device(const TuneOptions& options, Host& host, const std::string& rest) {
  if (options.rate || !options.arrivals.empty()) {
    return fail(Errc::kInvalid, "a recorded table was measured in closed loop: --rate and --arrivals need a device that runs");
  }
  if (!options.model.empty()) return fail(Errc::kInvalid, "a recorded table runs no model: leave --model out");
  if (!options.dimensions.empty() || !options.inputs.empty() || options.provider != "cpu" || !options.meters.power_model.empty() ||
      options.batch_delay_seconds) {
    return fail(Errc::kInvalid, "--dim, --input, --provider, --power-model and --batch-delay are for a model that runs");
  }
  if (!options.meters.meter.empty() || !options.meters.external_command.empty() || options.meters.external_error_percent)
    return fail(Errc::kInvalid, "a recorded table brings its own joules: leave --meter and --external-meter out");
  std::error_code ignored;
  const std::size_t hash = std::filesystem::is_regular_file(rest, ignored) ? std::string::npos : rest.rfind('#');
  const std::string path = rest.substr(0, hash);
  const std::string workload = hash == std::string::npos ? "" : rest.substr(hash + 1);
  if (path.empty()) return fail(Errc::kInvalid, "--device recorded: names no file", "write recorded:FILE.csv#WORKLOAD");
  TRY(auto table, read_recorded_table(path, workload));
  TRY(const auto sha256, sha256_of_file(path));
  TRY(table.reference, parse_reference(options.reference, table.space.parameters(), table.reference));
  if (!table.space.find(table.reference))
    return fail(Errc::kInvalid, fmt::format("--reference {}: the table has no such row", table.reference.text()));
  TRY(const auto wanted, parse_knob_flags(options.knobs));
  TRY_STATUS(restrict(table, wanted));

  StudyFacts facts;
  facts[fact::kDeviceText] = fmt::format("recorded table {}, workload {}", path, table.workload);
  facts[fact::kSha256] = sha256;
  facts[fact::kLoad] = "closed loop as recorded: latency of one batch, or of one output token for LLM decoding";
  Device device{
      .name = options.device, .description = facts[fact::kDeviceText], .host = host, .space = table.space, .reference = table.reference};
  device.energy_provenance = Provenance::kRecorded;
  device.meter = "table";
  device.meter_boundary = table.states_errors ? "as its author measured it; error: the scatter of its repeats"
                                              : "as its author measured it; the table does not say with what error";
  device.notes = table.notes;
  for (const auto& row : metric_table()) {
    const bool given = std::any_of(table.cells.begin(), table.cells.end(), [&](const auto& cell) {
      return std::any_of(cell.begin(), cell.end(), [&](const Metrics& m) { return m.contains(row.name); });
    });
    if (given) device.metrics.emplace_back(row.name);
  }
  device.workload = recorded_workload(host, std::move(table), Seconds(options.pace_seconds));
  return OpenedDevice{std::move(device), std::move(facts)};
}

}  // namespace polythrottle
