#include "host/perf_files.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <map>
#include <mutex>
#include <optional>

#include "host/open_nodes.h"

namespace polythrottle {
namespace {

constexpr std::string_view kMount = "/perf";
constexpr const char* kSources = "/sys/bus/event_source/devices/";

/// /perf/power/energy-pkg/cpu0
struct Place {
  std::string source, event;
  int cpu = -1;
};

bool is_below(std::string_view path) { return path.starts_with(kMount) && (path.size() == kMount.size() || path[kMount.size()] == '/'); }

template <class Number>
std::optional<Number> number_of(std::string_view text, int base = 10) {
  Number number{};
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc{} || at != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Place> place_of(std::string_view path) {
  Place place;
  path.remove_prefix(std::min(path.size(), kMount.size() + 1));
  for (std::string* part : {&place.source, &place.event}) {
    *part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part->size() + 1));
  }
  constexpr std::string_view kCpu = "cpu";
  if (place.source.empty() || place.event.empty() || !path.starts_with(kCpu)) return std::nullopt;
  place.cpu = number_of<int>(path.substr(kCpu.size())).value_or(-1);
  if (place.cpu < 0) return std::nullopt;
  return place;
}

/// Puts `value` where a format file says, "config:0-7" or "config:3".
Status place_bits(const std::string& format, std::uint64_t value, std::uint64_t& config) {
  constexpr std::string_view kConfig = "config:";
  const std::string_view bits = std::string_view(format).substr(std::min(format.size(), kConfig.size()));
  const auto dash = bits.find('-');
  const auto low = number_of<unsigned>(bits.substr(0, dash));
  const auto high = dash == std::string_view::npos ? low : number_of<unsigned>(bits.substr(dash + 1));
  if (!format.starts_with(kConfig) || !low || !high || *high < *low || *high > 63) {
    return fail(Errc::kUnsupported, "format \"" + format + "\" is not known here");
  }
  const unsigned width = *high - *low + 1;
  if (width < 64 && value >> width != 0) return fail(Errc::kCorrupt, "the event's number does not fit its format " + format);
  config |= value << *low;
  return {};
}

/// "event=0x02,umask=0x01", each term placed by its format.
Result<std::uint64_t> config_of(const Files& files, const std::string& source, const std::string& event) {
  TRY(const std::string text, read_trimmed(files, source + "/events/" + event));
  std::uint64_t config = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view term = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), term.size() + 1));
    const auto equals = term.find('=');
    const bool hex = equals != std::string_view::npos && term.substr(equals + 1).starts_with("0x");
    const auto value = equals == std::string_view::npos ? std::optional<std::uint64_t>(1)
                                                        : number_of<std::uint64_t>(term.substr(equals + (hex ? 3 : 1)), hex ? 16 : 10);
    if (!value) return fail(Errc::kUnsupported, "event \"" + text + "\" is not known here");
    TRY(const std::string format, read_trimmed(files, source + "/format/" + std::string(term.substr(0, equals))));
    TRY_STATUS(place_bits(format, *value, config));
  }
  return config;
}

int open_event(std::uint32_t type, std::uint64_t config, int cpu) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = type;
  attributes.config = config;
  constexpr int kEverybody = -1, kNoGroup = -1;
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, kEverybody, cpu, kNoGroup, PERF_FLAG_FD_CLOEXEC));
}

Error refused(const Files& files, const std::string& path, int error_number) {
  Error error = system_error("read " + path, error_number);
  if (error.code == Errc::kPermission) {
    const auto level = read_trimmed(files, "/proc/sys/kernel/perf_event_paranoid");
    error.hint = "run as root, or grant CAP_PERFMON, or set kernel.perf_event_paranoid to 0" + (level ? " (it is " + *level + ")" : "") +
                 "; a container may forbid perf events altogether";
  } else if (error_number == ENOSYS || error_number == EOPNOTSUPP) {
    error.code = Errc::kUnsupported;
    error.hint = "this kernel counts no such events";
  }
  return error;
}

class PerfFiles : public Files {
 public:
  PerfFiles(Files& base, PerfMount mount) : base_(base), mount_(std::move(mount)) {
    if (!mount_.open_event) mount_.open_event = open_event;
  }

  Result<std::string> read(const std::string& path) const override {
    if (handed_on(path)) return base_.read(path);
    const auto place = place_of(path);
    if (!place) return fail(Errc::kNotFound, "read " + path + ": no such file; they are called /perf/SOURCE/EVENT/cpuN");
    TRY(const auto event, opened(path, *place));
    std::uint64_t count = 0;
    ssize_t got = 0;
    do got = ::read(event->number(), &count, sizeof count);
    while (got < 0 && errno == EINTR);
    if (got < 0) return tl::unexpected<Error>(refused(base_, path, errno));
    // The kernel answers 0 bytes where an event could not be kept on its CPU.
    if (got != sizeof count) return fail(Errc::kIo, "read " + path + ": the kernel gave " + std::to_string(got) + " bytes of its count");
    return std::to_string(count) + "\n";
  }

  Status write(const std::string& path, const std::string& text) override {
    return handed_on(path) ? base_.write(path, text) : Status(read_only("write", path));
  }
  Result<std::vector<std::string>> list(const std::string& folder) const override {
    if (handed_on(folder)) return base_.list(folder);
    return fail(Errc::kUnsupported, "list " + folder + ": what there is to count is listed in " + kSources);
  }
  Status make_folder(const std::string& path) override {
    return handed_on(path) ? base_.make_folder(path) : Status(read_only("make folder", path));
  }
  Status remove_folder(const std::string& path) override {
    return handed_on(path) ? base_.remove_folder(path) : Status(read_only("remove folder", path));
  }
  Status writable(const std::string& path) const override {
    return handed_on(path) ? base_.writable(path) : Status(read_only("write", path));
  }
  WriteTotals written() const override { return base_.written(); }

 private:
  static tl::unexpected<Error> read_only(const std::string& act, const std::string& path) {
    return fail(Errc::kPermission, act + " " + path + ": it can only be read");
  }

  bool handed_on(const std::string& path) const {
    if (!is_below(path)) return true;
    std::call_once(looked_, [this] { recorded_ = !mount_.open || base_.list(std::string(kMount)).has_value(); });
    return recorded_;
  }

  Result<std::shared_ptr<const OpenFile>> opened(const std::string& path, const Place& place) const {
    const std::lock_guard guard(mutex_);
    if (const auto at = events_.find(path); at != events_.end()) return at->second;
    const std::string source = kSources + place.source;
    const auto described = [&](Error error) {
      error.what = "read " + path + ": " + error.what;
      return tl::unexpected<Error>(std::move(error));
    };
    const auto type = read_integer(base_, source + "/type");
    if (!type) return described(type.error());
    const auto config = config_of(base_, source, place.event);
    if (!config) return described(config.error());
    const int number = mount_.open_event(static_cast<std::uint32_t>(*type), *config, place.cpu);
    if (number < 0) return tl::unexpected<Error>(refused(base_, path, errno));
    return events_[path] = std::make_shared<const OpenFile>(number);
  }

  Files& base_;
  PerfMount mount_;
  mutable std::once_flag looked_;
  mutable bool recorded_ = false;
  mutable std::mutex mutex_;  ///< of events_
  mutable std::map<std::string, std::shared_ptr<const OpenFile>> events_;
};

}  // namespace

std::unique_ptr<Files> perf_files(Files& base, PerfMount mount) { return std::make_unique<PerfFiles>(base, std::move(mount)); }

}  // namespace polythrottle
