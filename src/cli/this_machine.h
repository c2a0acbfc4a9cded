#pragma once
// The machine the program runs on, as the subcommands see it.

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "host/host.h"
#include "host/injection.h"
#include "knob/lease.h"

namespace polythrottle {

/// What the user says of the NVIDIA GPU, as typed.
struct GpuOptions {
  std::string gpu;                             ///< index or UUID; empty: the only one, or index 0
  std::string found_gpu_lock, found_mem_lock;  ///< MIN,MAX in MHz, as for nvidia-smi -lgc and -lmc; empty: nobody says
  bool given() const { return !gpu.empty() || !found_gpu_lock.empty() || !found_mem_lock.empty(); }
};

/// This machine, or the recorded one below `sysroot` ("" for the real one). Everything that discovers, sets or restores goes through one of
/// these, so that all of them see the same files. Nothing is opened or written before somebody asks. A fault to inject, if there is one,
/// outlives it.
class ThisMachine {
 public:
  explicit ThisMachine(const std::string& sysroot, const GpuOptions& gpu = {}, Injection* injection = nullptr);
  ThisMachine(const ThisMachine&) = delete;
  ThisMachine& operator=(const ThisMachine&) = delete;
  /// Valid as long as this object.
  Host& host() { return host_; }
  /// Do the user's words about the GPU fit this machine? kInvalid for words that nobody could mean and GPUs that are not there, else what
  /// keeps the GPUs from answering. Fine, and nothing is loaded, where nothing was said.
  Status check_gpu() const;

  /// Absolute and without a slash at its end; "" for the real one.
  const std::string& sysroot() const { return sysroot_; }
  /// Where this machine's lease record lies.
  std::string record_path() const { return default_record_path(sysroot_); }

 private:
  std::string sysroot_;
  GpuOptions gpu_;
  std::unique_ptr<Files> disk_;   ///< the kernel's files
  std::unique_ptr<Files> perf_;   ///< and its perf events
  std::unique_ptr<Files> files_;  ///< and the NVIDIA driver's
  std::unique_ptr<Clock> clock_;
  Host host_;
};

/// Adds the flags of `options` to a subcommand, with help.
void add_gpu_options(CLI::App& command, GpuOptions& options);

}  // namespace polythrottle
