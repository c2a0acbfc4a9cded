#include "interference/calibration.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace polythrottle::interference {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "polythrottle calibration";
constexpr int kVersion = 1;

Json json_of(const WorkCost& cost) {
  return {{"macs", cost.macs}, {"weights", cost.weights}, {"activations", cost.activations}, {"kernels", cost.kernels}};
}
Json json_of(const Speeds& speeds) { return {{"gpu", speeds.gpu}, {"mem", speeds.mem}, {"cpu", speeds.cpu}}; }

bool equal(const WorkCost& a, const WorkCost& b) {
  return a.macs == b.macs && a.weights == b.weights && a.activations == b.activations && a.kernels == b.kernels;
}

tl::unexpected<Error> corrupt(const std::string& place, const std::string& what) {
  return fail(Errc::kCorrupt, "calibration: " + place + ": " + what, "make it again with `polythrottle interference calibrate`");
}

/// A part of the file with its place in it, for messages.
class Part {
 public:
  Part(const Json& json, std::string place) : json_(&json), place_(std::move(place)) {}

  Result<Part> at(const std::string& key) const {
    if (!json_->is_object()) return corrupt(place_, "no object");
    const auto found = json_->find(key);
    if (found == json_->end()) return corrupt(inside(key), "missing");
    return Part(*found, inside(key));
  }
  Result<std::vector<Part>> items(const std::string& key) const {
    TRY(const Part list, at(key));
    if (!list.json_->is_array()) return corrupt(list.place_, "no list");
    std::vector<Part> out;
    for (std::size_t i = 0; i < list.json_->size(); ++i) out.emplace_back((*list.json_)[i], list.place_ + "[" + std::to_string(i) + "]");
    return out;
  }
  bool has(const std::string& key) const { return json_->is_object() && json_->contains(key); }
  Result<std::string> text(const std::string& key) const {
    TRY(const Part part, at(key));
    if (!part.json_->is_string()) return corrupt(part.place_, "no text");
    return part.json_->get<std::string>();
  }
  /// In [low, high].
  Result<double> number(const std::string& key, double low, double high) const {
    TRY(const Part part, at(key));
    if (!part.json_->is_number()) return corrupt(part.place_, "no number");
    const double value = part.json_->get<double>();
    if (!std::isfinite(value) || value < low || value > high) return corrupt(part.place_, part.json_->dump() + " cannot be");
    return value;
  }
  Result<int> whole(const std::string& key, int low, int high) const {
    TRY(const double value, number(key, low, high));
    if (value != std::floor(value)) return corrupt(inside(key), "no whole number");
    return static_cast<int>(value);
  }

 private:
  std::string inside(const std::string& key) const { return place_.empty() ? key : place_ + "." + key; }
  const Json* json_;
  std::string place_;
};

constexpr double kLargest = 1e300;
constexpr int kMostItems = 1'000'000'000;

Result<WorkCost> cost_of(const Part& part) {
  WorkCost out;
  TRY(out.macs, part.number("macs", 0.0, kLargest));
  TRY(out.weights, part.number("weights", 0.0, kLargest));
  TRY(out.activations, part.number("activations", 0.0, kLargest));
  TRY(out.kernels, part.number("kernels", 0.0, kLargest));
  return out;
}
Result<Speeds> speeds_of(const Part& whole) {
  TRY(const Part part, whole.at("clocks"));
  Speeds out;
  TRY(out.gpu, part.number("gpu", 1e-6, 1e6));
  TRY(out.mem, part.number("mem", 1e-6, 1e6));
  TRY(out.cpu, part.number("cpu", 1e-6, 1e6));
  return out;
}
Result<Step> step_of(const Part& whole, const std::vector<WorkCost>& costs) {
  TRY(const Part part, whole.at("step"));
  Step out;
  TRY(const int cost, part.whole("cost", 0, static_cast<int>(costs.size()) - 1));
  out.cost = costs[static_cast<std::size_t>(cost)];
  TRY(out.items, part.whole("items", 1, kMostItems));
  return out;
}

}  // namespace

std::string render_calibration(const Calibration& calibration) {
  std::vector<WorkCost> costs;
  const auto json_of_step = [&](const Step& step) {
    auto found = std::find_if(costs.begin(), costs.end(), [&](const WorkCost& cost) { return equal(cost, step.cost); });
    if (found == costs.end()) found = costs.insert(costs.end(), step.cost);
    return Json{{"cost", found - costs.begin()}, {"items", step.items}};
  };
  Json batches = Json::array(), steps = Json::array();
  for (const BatchSample& seen : calibration.samples.batches) {
    Json one{{"clocks", json_of(seen.at.speeds)}, {"batch", seen.at.batch}};
    if (seen.at.step) one["step"] = json_of_step(*seen.at.step);
    if (seen.at.rested > Seconds(0)) one["rested_seconds"] = seen.at.rested.count();
    one["beside"] = seen.beside;
    one["latency_seconds"] = seen.latency.count();
    batches.push_back(std::move(one));
  }
  for (const StepSample& seen : calibration.samples.steps) {
    steps.push_back({{"clocks", json_of(seen.speeds)},
                     {"step", json_of_step(seen.step)},
                     {"beside", seen.beside},
                     {"duration_seconds", seen.duration.count()}});
  }
  Json step_costs = Json::array();
  for (const WorkCost& cost : costs) step_costs.push_back(json_of(cost));
  const Json file{{"format", kFormat},
                  {"version", kVersion},
                  {"device", calibration.device},
                  {"model", calibration.model},
                  {"finetune", calibration.finetune},
                  {"provenance", calibration.provenance},
                  {"predictor", calibration.predictor},
                  {"inference", json_of(calibration.inference)},
                  {"step_costs", std::move(step_costs)},
                  {"batches", std::move(batches)},
                  {"steps", std::move(steps)}};
  return file.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Calibration> parse_calibration(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return corrupt("file", "empty");
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return corrupt("file", "no JSON, or cut short");
  const Part file(json, "");
  if (!json.is_object() || !file.has("format") || json["format"] != kFormat) return corrupt("format", "not that of a calibration");
  TRY(const int version, file.whole("version", 0, kMostItems));
  if (version > kVersion) {
    return fail(Errc::kUnsupported, "calibration: version " + std::to_string(version) + " is newer than this program", "update it");
  }
  Calibration out;
  TRY(out.device, file.text("device"));
  TRY(out.model, file.text("model"));
  TRY(out.finetune, file.text("finetune"));
  TRY(out.provenance, file.text("provenance"));
  TRY(out.predictor, file.text("predictor"));
  TRY(const Part inference, file.at("inference"));
  TRY(out.inference, cost_of(inference));
  std::vector<WorkCost> costs;
  TRY(const auto step_costs, file.items("step_costs"));
  for (const Part& part : step_costs) {
    TRY(WorkCost cost, cost_of(part));
    costs.push_back(cost);
  }
  TRY(const auto batches, file.items("batches"));
  for (const Part& part : batches) {
    BatchSample seen;
    TRY(seen.at.speeds, speeds_of(part));
    TRY(seen.at.batch, part.whole("batch", 1, kMostItems));
    if (part.has("step")) {
      TRY(seen.at.step, step_of(part, costs));
    }
    if (part.has("rested_seconds")) {
      TRY(const double rested, part.number("rested_seconds", 0.0, 1e9));
      seen.at.rested = Seconds(rested);
    }
    TRY(seen.beside, part.number("beside", 0.0, 1.0));
    TRY(const double seconds, part.number("latency_seconds", 1e-12, 1e9));
    seen.latency = Seconds(seconds);
    out.samples.batches.push_back(std::move(seen));
  }
  TRY(const auto steps, file.items("steps"));
  for (const Part& part : steps) {
    StepSample seen;
    TRY(seen.speeds, speeds_of(part));
    TRY(seen.step, step_of(part, costs));
    TRY(seen.beside, part.number("beside", 0.0, 1.0));
    TRY(const double seconds, part.number("duration_seconds", 1e-12, 1e9));
    seen.duration = Seconds(seconds);
    out.samples.steps.push_back(seen);
  }
  return out;
}

Status check_calibration(const Calibration& calibration, std::string_view device, std::string_view model, std::string_view finetune) {
  const auto differs = [](const char* what, const std::string& its, std::string_view wanted) -> Status {
    if (its == wanted) return {};
    return fail(Errc::kInvalid, "calibration: made with " + std::string(what) + " " + its + ", not " + std::string(wanted),
                "make one with `polythrottle interference calibrate`");
  };
  TRY_STATUS(differs("device", calibration.device, device));
  TRY_STATUS(differs("model", calibration.model, model));
  return differs("fine-tuning", calibration.finetune, finetune);
}

Result<std::unique_ptr<Predictor>> fitted(const Calibration& calibration) {
  TRY(const PredictorDriver* driver, find_predictor(calibration.predictor));
  auto predictor = driver->make(calibration.inference);
  TRY_STATUS(predictor->fit(calibration.samples));
  return predictor;
}

}  // namespace polythrottle::interference
