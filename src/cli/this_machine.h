#pragma once
// The machine the program runs on, as the subcommands see it.

#include <memory>
#include <string>

#include "host/host.h"
#include "host/injection.h"

namespace polythrottle {

/// This machine, or the recorded one below `sysroot` ("" for the real one). Everything that discovers, sets or restores goes through one of
/// these, so that all of them see the same files. Nothing is opened or written before somebody asks. A fault to inject, if there is one,
/// outlives it.
class ThisMachine {
 public:
  explicit ThisMachine(const std::string& sysroot, Injection* injection = nullptr)
      : files_(injection == nullptr ? real_files(sysroot) : injected_files(real_files(sysroot), *injection)),
        clock_(real_clock()),
        host_{*files_, *clock_} {}
  ThisMachine(const ThisMachine&) = delete;
  ThisMachine& operator=(const ThisMachine&) = delete;
  /// Valid as long as this object.
  Host& host() { return host_; }

 private:
  std::unique_ptr<Files> files_;
  std::unique_ptr<Clock> clock_;
  Host host_;
};

}  // namespace polythrottle
