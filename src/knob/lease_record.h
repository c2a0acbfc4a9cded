#pragma once
// What the lease writes down before it moves anything: its text, and the reading of it by somebody who trusts nobody.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "knob/knob.h"
#include "knob/lease.h"

namespace polythrottle {

/// One knob in the record.
struct RecordEntry {
  std::string name;
  Value found;
  std::optional<Value> asked;  ///< what it was first asked for, in a kept record last; nullopt: never moved
  std::vector<FoundNode> nodes;
};

/// {"schema":1, "boot_id":, "pid":, "pid_start": clock ticks after boot (field 22 of /proc/PID/stat), "started": Unix seconds,
///  "knobs":[{"name":, "found":, "asked": null until moved, "nodes":[{"path":, "text": null for a folder that was not there}]}]}
/// and, where there is something to say, "command": the owner's command line, "notes":{word: text} and
/// "kept":{"source":, "config":, "time": Unix seconds}.
struct LeaseRecord {
  std::string boot_id;
  long long pid = 0;
  long long pid_start = 0;  ///< tells a process from a later one with the same number
  double started = 0.0;     ///< Unix seconds
  std::string command;
  std::map<std::string, std::string> notes;
  std::optional<KeptWords> kept;
  std::vector<RecordEntry> knobs;
};

/// JSON, ends in a newline. Bytes that are no UTF-8 are replaced.
std::string record_text(const LeaseRecord& record);

/// Errors: kUnsupported for a schema of a newer program; kCorrupt for everything else that `record_text` would not write: other JSON, a
/// node outside of `is_machine_path`, a knob that comes twice. One line of plain text whatever the input.
Result<LeaseRecord> parse_record(std::string_view text);

/// May a lease write here? Below /sys (of /sys/kernel only debugfs and the nodes of nvpmodel: others there run programs) and /nvml, spelled
/// without detours. A record that was tampered with must not make root write elsewhere.
bool is_machine_path(std::string_view path);

}  // namespace polythrottle
