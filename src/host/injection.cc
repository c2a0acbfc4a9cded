#include "host/injection.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace polythrottle {
namespace {

constexpr std::array<std::pair<std::string_view, int>, 9> kErrors{{{"EACCES", EACCES},
                                                                   {"EBUSY", EBUSY},
                                                                   {"EINVAL", EINVAL},
                                                                   {"EIO", EIO},
                                                                   {"ENODEV", ENODEV},
                                                                   {"ENOENT", ENOENT},
                                                                   {"EPERM", EPERM},
                                                                   {"EROFS", EROFS},
                                                                   {"ETIMEDOUT", ETIMEDOUT}}};

tl::unexpected<Error> no_injection(const std::string& text) {
  std::string errors;
  for (const auto& [name, number] : kErrors) errors += (errors.empty() ? "" : ", ") + std::string(name);
  return fail(Errc::kInvalid, std::string(Injection::kVariable) + ": '" + text + "' is no fault to inject",
              "count:FILE, kill:self@N, kill:watchdog@N, kill:both@N, fail:ERRNO@N or fail:ERRNO@N+, N from 1, ERRNO one of " + errors);
}

/// A whole number from 1.
std::optional<std::uint64_t> point_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

class InjectedFiles final : public Files {
 public:
  InjectedFiles(std::unique_ptr<Files> inner, Injection& injection) : inner_(std::move(inner)), injection_(injection) {}

  Result<std::string> read(const std::string& path) const override { return inner_->read(path); }
  Result<std::vector<std::string>> list(const std::string& folder) const override { return inner_->list(folder); }
  Status writable(const std::string& path) const override { return inner_->writable(path); }
  WriteTotals written() const override { return inner_->written(); }
  Status write(const std::string& path, const std::string& text) override {
    return around("write " + path, [&] { return inner_->write(path, text); });
  }
  Status make_folder(const std::string& path) override {
    return around("make folder " + path, [&] { return inner_->make_folder(path); });
  }
  Status remove_folder(const std::string& path) override {
    return around("remove folder " + path, [&] { return inner_->remove_folder(path); });
  }

 private:
  template <class Call>
  Status around(const std::string& what, Call&& call) {
    const int error = injection_.before(what);
    Status status = error == 0 ? call() : Status(tl::unexpected<Error>(system_error(what + " (injected)", error)));
    injection_.after(what);
    return status;
  }

  std::unique_ptr<Files> inner_;
  Injection& injection_;
};

}  // namespace

Result<std::unique_ptr<Injection>> Injection::parse(const std::string& text) {
  std::unique_ptr<Injection> out(new Injection);
  constexpr std::string_view kCount = "count:", kKill = "kill:", kFail = "fail:";
  if (text.starts_with(kCount) && text.size() > kCount.size()) {
    const std::string file = text.substr(kCount.size());
    out->list_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (out->list_ < 0) return tl::unexpected<Error>(system_error(std::string(kVariable) + ": write " + file, errno));
    return out;
  }
  const bool kills = text.starts_with(kKill);
  const auto at = text.rfind('@');
  if ((!kills && !text.starts_with(kFail)) || at == std::string::npos) return no_injection(text);
  const std::string_view whom = std::string_view(text).substr(kKill.size(), at - kKill.size());
  std::string_view number = std::string_view(text).substr(at + 1);
  if (kills) {
    out->act_ = Act::kKill;
    out->kills_self_ = whom == "self" || whom == "both";
    out->kills_watchdog_ = whom == "watchdog" || whom == "both";
    if (!out->kills_self_ && !out->kills_watchdog_) return no_injection(text);
  } else {
    out->act_ = Act::kFail;
    for (const auto& [name, error] : kErrors) {
      if (whom == name) out->errno_ = error;
    }
    if (out->errno_ == 0) return no_injection(text);
    out->onward_ = number.ends_with('+');
    if (out->onward_) number.remove_suffix(1);
  }
  const auto point = point_number(number);
  if (!point) return no_injection(text);
  out->at_ = *point;
  return out;
}

Result<std::unique_ptr<Injection>> Injection::take_from_environment() {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return std::unique_ptr<Injection>();
  auto injection = parse(text);
  ::unsetenv(kVariable);
  return injection;
}

Injection::~Injection() {
  if (list_ >= 0) ::close(list_);
}

void Injection::set_watchdog(std::function<pid_t()> pid) {
  const std::lock_guard lock(mutex_);
  watchdog_ = std::move(pid);
}

int Injection::before(const std::string& what) { return pass("before", what) && act_ == Act::kFail ? errno_ : 0; }
void Injection::after(const std::string& what) { (void)pass("after", what); }

/// True where this is the place.
bool Injection::pass(const char* side, const std::string& what) {
  const std::lock_guard lock(mutex_);
  ++passed_;
  if (list_ >= 0) {
    const std::string line = std::to_string(passed_) + " " + side + " " + what + "\n";
    (void)!::write(list_, line.data(), line.size());
  }
  const bool here = onward_ ? passed_ >= at_ : passed_ == at_;
  if (here && act_ == Act::kKill) kill_victims();
  return here;
}

void Injection::kill_victims() {
  if (kills_watchdog_ && watchdog_) {
    if (const pid_t pid = watchdog_(); pid > 0) (void)::kill(pid, SIGKILL);
  }
  if (kills_self_) (void)::kill(::getpid(), SIGKILL);
}

std::unique_ptr<Files> injected_files(std::unique_ptr<Files> inner, Injection& injection) {
  return std::make_unique<InjectedFiles>(std::move(inner), injection);
}

}  // namespace polythrottle
