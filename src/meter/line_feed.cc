#include "meter/line_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <optional>
#include <stop_token>
#include <thread>

namespace polythrottle {
namespace {

constexpr Seconds kLookForStop{0.1};
constexpr Seconds kGrace{0.5};
constexpr std::size_t kLastWords = 200;

/// The end of what it printed, on one line.
std::string last_words(const std::string& tail) {
  std::string words = tail.size() > kLastWords ? "..." + tail.substr(tail.size() - kLastWords) : tail;
  while (!words.empty() && words.back() == '\n') words.pop_back();
  std::replace(words.begin(), words.end(), '\n', '|');
  std::replace_if(
      words.begin(), words.end(), [](char c) { return c >= 0 && (c < ' ' || c == 0x7f); }, '?');
  return words;
}

class ProgramFeed : public LineFeed {
 public:
  ProgramFeed(Clock& clock, std::shared_ptr<Launcher> launcher, std::vector<std::string> words, Listener listener)
      : clock_(clock), launcher_(std::move(launcher)), words_(std::move(words)), listener_(std::move(listener)) {
    // The process dies with the thread that starts it, so that is the one that lives as long.
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }

  Status started() { return started_.get_future().get(); }

 private:
  void run(const std::stop_token& stop) {
    auto process = launcher_->start({.words = words_});
    if (!process) {
      started_.set_value(tl::unexpected<Error>(process.error()));
      return;
    }
    started_.set_value({});
    while (!stop.stop_requested()) {
      if (const auto line = (*process)->read_line(clock_.now() + kLookForStop)) {
        listener_.line(*line, clock_.now());
      } else if (const auto exit = (*process)->ended()) {
        const std::string how =
            exit->signal != 0 ? fmt::format("ended by signal {}", exit->signal) : fmt::format("ended with exit code {}", exit->code);
        const std::string words = last_words((*process)->tail());
        listener_.ended({Errc::kIo, how + (words.empty() ? ", without a word" : "; its last words: " + words), {}});
        return;
      }
    }
    (*process)->stop(kGrace);
  }

  Clock& clock_;
  const std::shared_ptr<Launcher> launcher_;
  const std::vector<std::string> words_;
  const Listener listener_;
  std::promise<Status> started_;
  std::jthread thread_;  ///< last: it ends before the rest goes
};

}  // namespace

Result<std::unique_ptr<LineFeed>> LineFeed::start(Clock& clock, std::shared_ptr<Launcher> launcher, std::vector<std::string> words,
                                                  Listener listener) {
  auto feed = std::make_unique<ProgramFeed>(clock, std::move(launcher), std::move(words), std::move(listener));
  TRY_STATUS(feed->started());
  return feed;
}

}  // namespace polythrottle
