#pragma once
// What a server says of itself while it runs: a line an event, for people or for programs.

#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace polythrottle {

/// Safe from several threads.
class ServeLog {
 public:
  /// `json`: one object a line, with "time" (seconds since the Unix epoch) and "event"; else "12:03:11 event: name value, ...".
  explicit ServeLog(bool json) : json_(json) {}
  void event(const std::string& what, const std::vector<std::pair<std::string, std::string>>& about);

 private:
  std::mutex mutex_;
  bool json_;
};

}  // namespace polythrottle
