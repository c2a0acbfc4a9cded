#pragma once
// What a command printed, trial by trial, in files beside the study.

#include <functional>
#include <string>

#include "base/result.h"
#include "trial/trial.h"

namespace polythrottle {

/// Writes STUDY.output/trial-N.txt and answers its path; the folder is made for the first. An older file of that trial is replaced; nothing
/// is ever deleted. Errors of a call: kPermission, kIo.
std::function<Result<std::string>(const Trial&, const std::string& text)> keep_output_beside(const std::string& study);

}  // namespace polythrottle
