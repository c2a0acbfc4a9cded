#pragma once
// Writing back what was found, whatever refuses on the way.

#include <functional>
#include <vector>

#include "host/host.h"
#include "knob/knob.h"
#include "knob/lease.h"
#include "knob/lease_record.h"

namespace polythrottle::lease {

/// Has it a node with a text? What is in no file ends with the process that set it, and is put back through its knob alone.
bool has_text(const RecordEntry& entry);

/// Writes every node of the entry, also after a refusal; removes the folders that were not there. Of a path that comes more than once only
/// the last text counts: those before it are steps on the way, which another holder of the same clock may round or refuse. It counts as
/// back where it is read with its last text when that was written, or when all were, with patience once for the whole entry: firmware takes
/// a moment. The first refusal is answered. Errors: as the kernel answers; kIo where a node does not hold what it took.
Status put_back_nodes(Host& host, const RecordEntry& entry);
/// Errors: those of Knob::write; kIo where it then reports another value.
Status put_back_value(Knob& knob, const Value& found);

/// Calls `put_back` for those with `written` set, in this order, and then once more for those that failed: another setting may have been in
/// the way of theirs.
void put_back_all(std::vector<Restored>& report, const std::function<Status(std::size_t)>& put_back);
bool all_back(const std::vector<Restored>& report);

/// Fills `now` and `same`: from `knob` where there is one and it can be read, else from the nodes.
void look(const Files& files, Knob* knob, const RecordEntry& entry, Restored& restored);

}  // namespace polythrottle::lease
