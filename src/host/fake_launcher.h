#pragma once
// Programs that never run, for tests: what they print is told beforehand, and time is that of a FakeClock.

#include <functional>
#include <utility>

#include "host/fake.h"
#include "host/launcher.h"

namespace polythrottle {

/// What a program does once it is started.
struct FakeRun {
  struct Line {
    Seconds after{0};  ///< since the line before, or the start
    std::string text;
  };
  std::vector<Line> lines;
  std::optional<Line> again;  ///< printed over and over after `lines`
  std::optional<Exit> exit;   ///< right after `lines`; absent, and without `again`: it hangs
  /// What it prints when it is told a line; absent: it does not listen.
  std::function<std::vector<Line>(const std::string& told)> answer{};
};

class FakeLauncher : public Launcher {
 public:
  FakeLauncher(FakeClock& clock, std::function<FakeRun(const Program&)> behaviour) : clock_(clock), behaviour_(std::move(behaviour)) {}

  std::vector<Program> started;
  std::vector<std::string> said;  ///< to all of them
  int running = 0;
  std::optional<Error> refusal;  ///< of every start

  Status check(const std::string&) const override { return {}; }
  Result<std::unique_ptr<Process>> start(const Program& program) override {
    if (refusal) return tl::unexpected<Error>(*refusal);
    started.push_back(program);
    ++running;
    return std::make_unique<FakeProcess>(*this, behaviour_(program), program.heard);
  }
  Seconds cpu_time() const override { return Seconds(0); }

 private:
  class FakeProcess : public Process {
   public:
    FakeProcess(FakeLauncher& owner, FakeRun run, std::function<void(std::string_view)> heard)
        : owner_(owner), run_(std::move(run)), heard_(std::move(heard)), last_(owner.clock_.now()) {}
    ~FakeProcess() override { FakeProcess::stop(Seconds(0)); }

    std::optional<std::string> read_line(Clock::TimePoint deadline) override {
      FakeClock& clock = owner_.clock_;
      const FakeRun::Line* next = printed_ < run_.lines.size() ? &run_.lines[printed_] : run_.again ? &*run_.again : nullptr;
      if (next == nullptr && run_.exit) return std::nullopt;
      if (next == nullptr || last_ + next->after > std::max(deadline, clock.now())) {
        clock.sleep_until(deadline);
        return std::nullopt;
      }
      last_ += next->after;
      clock.sleep_until(last_);
      ++printed_;
      tail_ += next->text + '\n';
      if (heard_) heard_(next->text + '\n');
      if (tail_.size() > kTail) tail_.erase(0, tail_.size() - kTail);
      return next->text;
    }
    Status say(std::string_view line) override {
      owner_.said.emplace_back(line);
      if (!run_.answer) return fail(Errc::kInvalid, "talk to a program that does not listen");
      for (auto& next : run_.answer(std::string(line))) run_.lines.push_back(std::move(next));
      last_ = std::max(last_, owner_.clock_.now());
      return {};
    }
    std::optional<Clock::TimePoint> wait(Clock::TimePoint deadline) override {
      while (read_line(deadline)) {
      }
      return ended() ? std::optional(owner_.clock_.now()) : std::nullopt;
    }
    std::optional<Exit> ended() override { return printed_ >= run_.lines.size() && !run_.again ? run_.exit : std::nullopt; }
    void stop(Seconds) override { owner_.running -= std::exchange(alive_, 0); }
    const std::string& tail() const override { return tail_; }

   private:
    FakeLauncher& owner_;
    FakeRun run_;
    std::function<void(std::string_view)> heard_;
    Clock::TimePoint last_;
    std::size_t printed_ = 0;
    std::string tail_;
    int alive_ = 1;
  };

  FakeClock& clock_;
  std::function<FakeRun(const Program&)> behaviour_;
};

}  // namespace polythrottle
