#pragma once
// Counters of the kernel's perf events as files, so that a meter of them needs nothing of its own and a recorded machine can have them: the
// same idea as for NVIDIA GPUs (docs/adr/0012-nvml-as-files.md).

#include <cstdint>
#include <functional>
#include <memory>

#include "host/host.h"

namespace polythrottle {

struct PerfMount {
  /// False: no event is ever opened, and /perf is what `base` has of it.
  bool open = true;
  /// Begins to count an event on one CPU, whoever runs there; answers a descriptor, or -1 and errno, as perf_event_open(2) does. Empty:
  /// that call itself.
  std::function<int(std::uint32_t type, std::uint64_t config, int cpu)> open_event = {};
};

/// `base` with /perf in it; every other path is handed on. A folder /perf that `base` has itself (a recorded machine) is used as it is.
///
///   /perf/SOURCE/EVENT/cpuN    the count of that event on CPU N since this file was first read, in decimal; it counts as long as this
///                              object lives. SOURCE and EVENT are those of /sys/bus/event_source/devices, which says its type, what the
///                              event's number is, scale, unit, and which CPUs count for a whole package (cpumask)
///
/// These files can be read and nothing else; a listing is that of /sys. Errors besides those of Files: kPermission says what the kernel
/// wants (CAP_PERFMON, or kernel.perf_event_paranoid); kUnsupported for an event described in a way that is not known here, and for kernels
/// without perf events. Source: perf_event_open(2); Linux Documentation/ABI/testing/sysfs-bus-event_source-devices-{events,format}.
std::unique_ptr<Files> perf_files(Files& base, PerfMount mount = {});

}  // namespace polythrottle
