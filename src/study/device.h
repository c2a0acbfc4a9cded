#pragma once
// Everything a study needs of the thing under test, wired by cli/.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/host.h"
#include "knob/lease.h"
#include "meter/meter.h"
#include "space/space.h"
#include "trial/metric.h"
#include "workload/workload.h"

namespace polythrottle {

struct Device {
  std::shared_ptr<void> owner;  ///< keeps a simulated machine alive; destroyed last
  std::string name;             ///< as typed: "cpu", "recorded:FILE#WORKLOAD"
  std::string description;      ///< one line for people
  Host& host;
  Space space;
  Config reference;
  Provenance energy_provenance = Provenance::kMeasured;
  std::string meter;           ///< name of the meter
  std::string meter_boundary;  ///< what its joules cover, and how far they may be off
  bool open_loop = false;
  std::vector<std::string> metrics;  ///< names of what a trial here can give
  std::vector<std::string> notes;    ///< remarks for the user before the first trial
  std::unique_ptr<Workload> workload;
  std::string lease_record;                  ///< a simulated machine's: path of a scratch file; the real one has a fixed path
  std::vector<std::unique_ptr<Knob>> knobs;  ///< the machine's part of the space
  std::unique_ptr<Meter> energy_meter;       ///< absent for recorded tables
  std::vector<std::unique_ptr<Gauge>> gauges;
  /// Names of others running now that may write the knobs; asked when one was changed behind our back. Empty: nobody knows.
  std::function<std::vector<std::string>()> suspects;
};

}  // namespace polythrottle
