#include "cli/this_machine.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
#include <optional>

#include "host/nvml_files.h"
#include "host/perf_files.h"

namespace polythrottle {
namespace {

/// "210,1410" is "210 1410", and so is "1410" for a clock that was held: "1410 1410". nullopt for anything else.
std::optional<std::string> lock_text(const std::string& typed) {
  const char* const end = typed.data() + typed.size();
  unsigned lowest = 0;
  auto [at, error] = std::from_chars(typed.data(), end, lowest);
  unsigned highest = lowest;
  if (error == std::errc{} && at != end && *at == ',') {
    const auto second = std::from_chars(at + 1, end, highest);
    at = second.ptr;
    error = second.ec;
  }
  if (error != std::errc{} || at != end || highest == 0 || lowest > highest) return std::nullopt;
  return std::to_string(lowest) + " " + std::to_string(highest);
}

/// Absolute and without a slash at its end; "" for the real one.
std::string without_end(const std::string& sysroot) {
  std::error_code ignored;
  std::string path = sysroot.empty() ? sysroot : std::filesystem::absolute(sysroot, ignored).lexically_normal().string();
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

/// The NVIDIA driver's files beside the kernel's, and in front of both the fault that a test asked for.
std::unique_ptr<Files> on_top_of(Files& base, const std::string& sysroot, const GpuOptions& gpu, Injection* injection) {
  auto files = nvml_files(base, {.load = sysroot.empty(),
                                 .gpu = gpu.gpu,
                                 .found_graphics_lock = lock_text(gpu.found_gpu_lock).value_or(""),
                                 .found_memory_lock = lock_text(gpu.found_mem_lock).value_or("")});
  return injection == nullptr ? std::move(files) : injected_files(std::move(files), *injection);
}

}  // namespace

ThisMachine::ThisMachine(const std::string& sysroot, const GpuOptions& gpu, Injection* injection)
    : sysroot_(without_end(sysroot)),
      gpu_(gpu),
      disk_(real_files(sysroot_)),
      perf_(perf_files(*disk_, {.open = sysroot_.empty()})),
      files_(on_top_of(*perf_, sysroot_, gpu, injection)),
      clock_(real_clock()),
      host_{*files_, *clock_} {}

Status ThisMachine::check_gpu() const {
  if (!gpu_.given()) return {};
  for (const auto& [flag, typed] : {std::pair{"--found-gpu-lock", gpu_.found_gpu_lock}, {"--found-mem-lock", gpu_.found_mem_lock}}) {
    if (typed.empty()) continue;
    if (!lock_text(typed)) return fail(Errc::kInvalid, std::string(flag) + " " + typed + ": write MIN,MAX in MHz, as for nvidia-smi");
    if (!sysroot_.empty()) return fail(Errc::kInvalid, std::string(flag) + ": a recorded machine says itself what was found");
  }
  TRY_STATUS(files_->list("/nvml"));
  return {};
}

void add_gpu_options(CLI::App& command, GpuOptions& options) {
  const char* kGroup = "NVIDIA GPUs";
  command.add_option("--gpu", options.gpu, "The GPU to tune, by index or UUID as in nvidia-smi -L (default: 0); the others are left alone")
      ->group(kGroup);
  command
      .add_option("--found-gpu-lock", options.found_gpu_lock,
                  "MIN,MAX in MHz: graphics clocks were locked before (nvidia-smi -lgc), and are so again in the end. "
                  "No driver tells a lock; without this it ends unlocked")
      ->group(kGroup);
  command.add_option("--found-mem-lock", options.found_mem_lock, "The same of the memory clock (nvidia-smi -lmc)")->group(kGroup);
}

}  // namespace polythrottle
