#include "cli/kept_output.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>

#include "cli/cli.h"

namespace polythrottle {

std::function<Result<std::string>(const Trial&, const std::string& text)> keep_output_beside(const std::string& study) {
  return [folder = study + ".output"](const Trial& trial, const std::string& text) -> Result<std::string> {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return tl::unexpected<Error>(system_error("make folder " + folder, error.value()));
    const std::string path = fmt::format("{}/trial-{}.txt", folder, trial.id);
    TRY_STATUS(write_file(path, text));
    return path;
  };
}

}  // namespace polythrottle
