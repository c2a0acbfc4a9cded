#include "meter/gauge_paths.h"

#include <fnmatch.h>

#include "host/nvml_gpu.h"

namespace polythrottle {

std::vector<std::string> paths_like(const Files& files, std::string_view pattern) {
  constexpr std::string_view kGpu = "/nvml/*";
  std::vector<std::string> found{""};
  if (pattern.starts_with(kGpu)) {
    if (is_jetson(files)) return {};
    const auto gpu = chosen_gpu(files);
    if (!gpu) return {};
    found = {gpu->folder};
    pattern.remove_prefix(kGpu.size());
  }
  while (!pattern.empty() && !found.empty()) {
    const auto end = std::min(pattern.find('/', 1), pattern.size());
    const std::string part(pattern.substr(1, end - 1));
    pattern.remove_prefix(end);
    const bool wild = part.find_first_of("*?[") != std::string::npos;
    std::vector<std::string> next;
    for (const auto& folder : found) {
      if (!wild) {
        next.push_back(folder + "/" + part);
        continue;
      }
      for (const auto& name : files.list(folder).value_or(std::vector<std::string>())) {
        if (::fnmatch(part.c_str(), name.c_str(), 0) == 0) next.push_back(folder + "/" + name);
      }
    }
    found = std::move(next);
  }
  return found;
}

}  // namespace polythrottle
