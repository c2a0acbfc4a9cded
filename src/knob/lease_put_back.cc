#include "knob/lease_put_back.h"

#include <algorithm>
#include <map>

#include "knob/lease_files.h"

namespace polythrottle::lease {
namespace {

/// Some nodes are answered by firmware that follows within the second: the memory clock of a Jetson.
constexpr Seconds kPatience{1.0};
constexpr Seconds kLookAgain{0.01};

Status remove_made_folder(Host& host, const std::string& path) {
  auto removed = host.files.remove_folder(path);
  // The process that a control group was made for may be in its last steps.
  const auto until = host.clock.now() + kPatience;
  while (!removed && removed.error().code == Errc::kBusy && host.clock.now() < until) {
    host.clock.sleep_until(host.clock.now() + kLookAgain);
    removed = host.files.remove_folder(path);
  }
  if (removed || removed.error().code == Errc::kNotFound) return {};
  Error error = removed.error();
  if (error.code == Errc::kBusy) error.hint = "processes are still in it (see its cgroup.procs): end them first";
  return tl::unexpected<Error>(std::move(error));
}

bool holds(const Files& files, const FoundNode& node) {
  if (!node.text) return !files.list(node.path);
  const auto now = files.read(node.path);
  return now && trimmed(*now) == trimmed(*node.text);
}

/// Every path once, with what it is to hold in the end: a node may come more than once, first with a text on the way.
std::map<std::string, const FoundNode*> last_of_each(const RecordEntry& entry) {
  std::map<std::string, const FoundNode*> last;
  for (const auto& node : entry.nodes) last[node.path] = &node;
  return last;
}

bool holds_what_was_found(const Files& files, const RecordEntry& entry) {
  const auto last = last_of_each(entry);
  return std::all_of(last.begin(), last.end(), [&](const auto& item) { return holds(files, *item.second); });
}

/// Looks until the node holds what it is to hold, and at least once.
bool comes_to_hold(Host& host, const FoundNode& node, Clock::TimePoint until) {
  while (!holds(host.files, node)) {
    if (host.clock.now() >= until) return false;
    host.clock.sleep_until(host.clock.now() + kLookAgain);
  }
  return true;
}

tl::unexpected<Error> does_not_hold(const Files& files, const FoundNode& node) {
  const auto now = files.read(node.path);
  if (!now) return tl::unexpected<Error>(now.error());
  return fail(Errc::kIo, "write " + node.path + ": " + trimmed(node.text.value_or("")) + " was accepted, but it reads " + trimmed(*now),
              "another program or the firmware may be holding it; set it by hand or reboot");
}

std::string text_of_nodes(const Files& files, const RecordEntry& entry) {
  std::string text;
  for (const auto& node : entry.nodes) {
    if (!node.text) continue;
    const auto now = files.read(node.path);
    text += (text.empty() ? "" : ", ") + (now ? trimmed(*now) : now.error().what);
  }
  return text.empty() ? "unknown" : text;
}

}  // namespace

bool has_text(const RecordEntry& entry) {
  return std::any_of(entry.nodes.begin(), entry.nodes.end(), [](const auto& node) { return node.text.has_value(); });
}

Status put_back_nodes(Host& host, const RecordEntry& entry) {
  const auto last = last_of_each(entry);
  const auto until = host.clock.now() + kPatience;
  Status first, on_the_way;
  std::vector<const FoundNode*> late;
  for (const auto& node : entry.nodes) {
    auto status = node.text ? host.files.write(node.path, trimmed(*node.text)) : remove_made_folder(host, node.path);
    Status& kept = last.at(node.path) == &node ? first : on_the_way;
    if (!status) {
      if (kept) kept = std::move(status);
    } else if (&kept == &first && node.text && !comes_to_hold(host, node, until)) {
      late.push_back(&node);
    }
  }
  // A node that is let go of by a later one may move on from what it held; one that was held down by it only now comes.
  for (const FoundNode* node : late) {
    if (!first) break;
    if (!comes_to_hold(host, *node, until)) first = does_not_hold(host.files, *node);
  }
  // What was refused on the way matters only where the end is not right, and then it came first.
  return first || on_the_way ? first : on_the_way;
}

Status put_back_value(Knob& knob, const Value& found) {
  TRY(const Value now, knob.write(found));
  if (now != found) return fail(Errc::kIo, "set " + knob.parameter().name + " back to " + to_text(found) + ": it reads " + to_text(now));
  return {};
}

void put_back_all(std::vector<Restored>& report, const std::function<Status(std::size_t)>& put_back) {
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < report.size(); ++i) {
      if (report[i].written && (round == 0 || !report[i].status)) report[i].status = put_back(i);
    }
  }
}

bool all_back(const std::vector<Restored>& report) {
  return std::all_of(report.begin(), report.end(), [](const auto& restored) { return restored.status.has_value(); });
}

void look(const Files& files, Knob* knob, const RecordEntry& entry, Restored& restored) {
  const auto value = knob != nullptr ? knob->read() : Result<Value>(fail(Errc::kNotFound, entry.name));
  restored.now = value ? *value : Value(text_of_nodes(files, entry));
  restored.same = entry.nodes.empty() ? restored.now == entry.found : holds_what_was_found(files, entry);
}

}  // namespace polythrottle::lease
