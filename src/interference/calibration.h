#pragma once
// Co-runs as a file: what `polythrottle interference calibrate` writes and a server or a replay begins with.

#include <string>
#include <string_view>

#include "base/result.h"
#include "interference/interference.h"

namespace polythrottle::interference {

struct Calibration {
  std::string device;      ///< as --device has it
  std::string model;       ///< "efficientnet-b7 fp16"
  std::string finetune;    ///< what was beside it, "batch=64,outputs=1000"
  std::string provenance;  ///< "simulated", "measured"
  std::string predictor;   ///< a driver's name
  WorkCost inference;      ///< of the model
  Samples samples;
};

/// docs/interference.md has the format. UTF-8, a newline at the end.
std::string render_calibration(const Calibration& calibration);
/// Errors: kCorrupt saying what is wrong and where; kUnsupported for one of a newer version.
Result<Calibration> parse_calibration(std::string_view text);
/// Do its samples speak of this? Errors: kInvalid naming the first of device, model and fine-tuning job that differs.
Status check_calibration(const Calibration& calibration, std::string_view device, std::string_view model, std::string_view finetune);
/// Its predictor, fitted. Errors: those of find_predictor and Predictor::fit.
Result<std::unique_ptr<Predictor>> fitted(const Calibration& calibration);

}  // namespace polythrottle::interference
