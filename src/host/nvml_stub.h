#pragma once
// The stand-in for the NVIDIA driver's library (tests/nvml_stub), for tests: where it is, and what it is told.

#include <cstdlib>
#include <string>

#include "host/fake.h"
#include "host/nvml_files.h"

namespace polythrottle {

inline const std::string kNvmlStub = POLYTHROTTLE_BINARY_DIR "/nvml_stub/present/libnvidia-ml.so.1";
inline const std::string kNvmlStubOld = POLYTHROTTLE_BINARY_DIR "/nvml_stub/old/libnvidia-ml.so.1";  ///< lacks what came after 2019
inline const std::string kStubA =
    "/nvml/GPU-0aaaaaaa-0000-4000-8000-000000000001";  ///< 210 to 1800 MHz, memory 405, 5001, 7001 MHz, Ampere
inline const std::string kStubH = "/nvml/GPU-0bbbbbbb-0000-4000-8000-000000000002";  ///< 345 to 1980 MHz, memory 2619 MHz, Hopper

/// Words for the stub as long as this object lives (see nvml_stub.c); with `state`, that file holds what its GPUs are set to.
class StubWords {
 public:
  explicit StubWords(const std::string& words, const std::string& state = {}) {
    say(words);
    if (!state.empty()) ::setenv("POLYTHROTTLE_NVML_STUB_STATE", state.c_str(), 1);
  }
  ~StubWords() {
    ::unsetenv("POLYTHROTTLE_NVML_STUB");
    ::unsetenv("POLYTHROTTLE_NVML_STUB_STATE");
  }
  StubWords(const StubWords&) = delete;
  StubWords& operator=(const StubWords&) = delete;
  void say(const std::string& words) { ::setenv("POLYTHROTTLE_NVML_STUB", words.c_str(), 1); }
};

/// A machine that has nothing but the stub's GPUs.
struct StubMachine {
  explicit StubMachine(NvmlMount mount = {.library = kNvmlStub}, bool privileged = true) {
    base.nodes["/proc/self/status"] = privileged ? "CapEff:\t000001ffffffffff\n" : "CapEff:\t0000000000000000\n";
    base.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
    files = nvml_files(base, std::move(mount));
  }
  FakeFiles base;
  FakeClock clock;
  std::unique_ptr<Files> files;
  Host host() { return Host{*files, clock}; }
};

}  // namespace polythrottle
