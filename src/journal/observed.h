#pragma once
// A journal that says when it is about to write and when it has written.

#include <functional>
#include <memory>
#include <string>

#include "journal/journal.h"

namespace polythrottle {

/// Called on the thread that uses the journal with the name of the call: "describe", "begin" or "finish". Both must be there.
struct JournalObserver {
  std::function<void(const std::string& call)> before;
  std::function<void(const std::string& call)> after;  ///< also after a call that failed
};

/// `inner` with `observer` told of each call that writes.
std::unique_ptr<Journal> observed_journal(std::unique_ptr<Journal> inner, JournalObserver observer);

}  // namespace polythrottle
