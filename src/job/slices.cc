#include "job/slices.h"

#include <fmt/format.h>
#include <poll.h>

#include <cmath>
#include <ctime>

namespace polythrottle::job {
namespace {

class SlicedJob final : public Job {
 public:
  SlicedJob(std::string_view kind, std::unique_ptr<ProgramTree> tree, Seconds slice) : kind_(kind), tree_(std::move(tree)), slice_(slice) {}

  std::string_view kind() const override { return kind_; }

  Result<std::optional<Offer>> next(Seconds) override {
    if (tree_->ended()) return std::optional<Offer>();
    return Offer{.open_ended = true};
  }

  Result<Seconds> run(int items, Seconds) override {
    if (items < 1) return fail(Errc::kInvalid, fmt::format("let the job run: {} slices", items));
    const auto begin = clock_->now();
    TRY_STATUS(tree_->let());
    wait_until(begin + static_cast<double>(items) * slice_);
    if (auto held = tree_->hold(); !held) {
      tree_->stop(Seconds(0));
      held.error().what += ", and was ended";
      return tl::unexpected<Error>(std::move(held.error()));
    }
    return clock_->now() - begin;
  }

  std::optional<int> ended() override { return tree_->ended(); }
  void cut() override { tree_->cut(); }

 private:
  /// Or until it ends.
  void wait_until(Clock::TimePoint when) {
    while (!tree_->ended()) {
      const double left = (when - clock_->now()).count();
      if (left <= 0.0) return;
      pollfd event{.fd = tree_->end(), .events = POLLIN, .revents = 0};
      timespec time{};
      time.tv_sec = static_cast<time_t>(left);
      time.tv_nsec = static_cast<long>((left - std::floor(left)) * 1e9);
      // The end is seen a moment before the exit code.
      if (::ppoll(&event, 1, &time, nullptr) > 0) clock_->sleep_until(clock_->now() + Seconds(0.0002));
    }
  }

  const std::string_view kind_;
  std::unique_ptr<Clock> clock_ = real_clock();
  std::unique_ptr<ProgramTree> tree_;
  const Seconds slice_;
};

}  // namespace

Result<std::unique_ptr<Job>> start_sliced(std::string_view kind, ProgramTree::Options::Hold hold, const Spec& spec,
                                          const std::string& folder, const std::string& output) {
  TRY(auto tree, ProgramTree::start(spec, folder, output, {.hold = hold}));
  TRY_STATUS(tree->hold());
  return std::make_unique<SlicedJob>(kind, std::move(tree), spec.slice);
}

}  // namespace polythrottle::job
