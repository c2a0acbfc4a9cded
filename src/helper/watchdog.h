#pragma once
// The process that puts the machine back when its owner has died. The owner's end is src/knob/lease_watchdog.h.

#include <string>

#include "base/result.h"
#include "host/host.h"
#include "knob/lease.h"

namespace polythrottle {

/// What became of an owner.
struct Watched {
  long long owner = 0;  ///< its process number; 0 if it never said one
  bool died = false;    ///< false: it said itself that the machine is back, or kept on purpose
  Recovery recovery;    ///< empty if there was nothing (left) to put back
};

/// Makes this process one that outlives its owner: ignores SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGPIPE, and closes every descriptor from 3
/// on but `fd` (so call it before anything is opened). Its name becomes "pt-watchdog", so that who kills every "polythrottle" does not kill
/// it too. The session of its own is made by who starts it.
void outlive_owner(int fd);

/// The life of a watchdog: asks the kernel to spare it when memory runs out (oom_score_adj, as far as permitted), reads whom it watches
/// from `fd`, leaves the control group of the owner's CPU quota if it was started in it, says that it watches, and waits. When the owner is
/// gone without a word it waits for the machine's lock, for the last threads of a dead process take milliseconds, and puts back what the
/// record says, unless that is kept on purpose or already another's. Blocks; does not close `fd`. Errors: those of `recover`; kIo for the
/// socket; kBusy if the lock is still held after a minute.
Result<Watched> watch_owner(Host& host, const std::string& record_path, int fd);

/// One look of a guard that watches all owners: puts the machine back if the record's owner is dead and its configuration is not kept. A
/// record of another boot is left to `polythrottle restore`. Errors: those of `recover`, but not kBusy, which is somebody else at work.
Result<Watched> guard_once(Host& host, const std::string& record_path);

}  // namespace polythrottle
