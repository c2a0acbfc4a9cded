#pragma once
// A snapshot with something in every member, for tests.

#include "server/snapshot.h"

namespace polythrottle::server {

inline Snapshot example_snapshot() {
  Snapshot s;
  s.time = 1.7e9;
  s.up = 3600.5;
  s.model = "resnet";
  s.version = "2";
  s.engine = "onnx";
  s.policy = "adaptive";
  s.device = "cpu";
  s.ready = true;
  s.slo = 0.05;
  s.requests = 110;
  s.answered = 100;
  s.late = 5;
  s.failed = 2;
  s.drops = {{"expired", 6}, {"queue full", 2}};
  s.switches = {{"rate", 3}};
  s.permits = 12;
  s.items = 96;
  s.holds = 40;
  s.latency = s.queue = s.compute = latency_histogram();
  s.batch = size_histogram();
  s.error = Histogram{.bounds = {0.5, 1.0, 2.0}, .counts = {0, 0, 0, 0}};
  for (int i = 1; i <= 100; ++i) s.latency.add(i * 1e-3);
  s.queue.add(0.004);
  s.compute.add(0.02);
  s.batch.add(8);
  s.error.add(1.1);
  s.queued = 3;
  s.rate = 49.5;
  s.configuration = "cpu_max_hz=2.0GHz, batch 8";
  s.row = 4;
  s.rails = {{"package", "rapl", "measured", 12.5, 45000.0}, {"dram", "rapl", "measured", std::nullopt, 0.0}};
  s.knobs = {{"cpu_max_hz", "2000000000", "2000000000", "Hz"}, {"governor", "", "schedutil", ""}};
  s.joules_per_request = 0.25;
  s.energy_provenance = "measured: package";
  s.temperature = 61.5;
  s.jobs = {{7, "daily \"update\"\\\n", "waiting", "the risk would go over the budget", 30, 200},
            {8, "open", "stepping", "slack", 3, std::nullopt}};
  s.p50 = 0.01;
  s.p95 = 0.03;
  s.p99 = 0.04;
  return s;
}

}  // namespace polythrottle::server
