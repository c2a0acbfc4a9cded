#pragma once
// One owner of the machine at a time.

#include <string>

#include "base/result.h"
#include "host/host.h"
#include "knob/lease_files.h"

namespace polythrottle::lease {

/// The machine's lock: flock(2) on RECORD.lock, which only its owner may open (mode 0600). Dies with its holder, whatever kills it. The
/// file says who holds it and stays behind empty: removing it would let two processes lock two files of the same name.
class Lock {
 public:
  /// `gives_back`: held only while the machine is given back, so that whoever comes waits a moment for it instead of being refused; and
  /// taken also where the file can only be read. That the holder's name cannot be written there is no error.
  /// Errors: kBusy naming the holder: "process 812 (polythrottle tune --model net.onnx) holds it since 12:03:11"; kPermission, kIo.
  static Result<Lock> take(Host& host, const std::string& record_path, bool gives_back = false);
  Lock(Lock&&) = default;
  Lock& operator=(Lock&&) = default;
  /// Lets go of it.
  ~Lock();

 private:
  explicit Lock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

}  // namespace polythrottle::lease
