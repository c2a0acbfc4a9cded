#include "replay/board.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "knob/lease.h"
#include "platform/platform.h"

namespace polythrottle::replay {
namespace {

namespace fs = std::filesystem;

/// Clocks settle in milliseconds; a tenth of a second also lets the sensors' averages forget what was before.
constexpr Seconds kSettle{0.1};
/// How soon after it is asked for a change of clocks begins: the next moment at which the machine looks after its other threads.
constexpr Seconds kThreadWakes{1e-6};

/// Where the lease keeps its record: the board dies with this process.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::string pattern = (fs::temp_directory_path() / "polythrottle-replay.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return tl::unexpected<Error>(system_error("make folder " + pattern, errno));
    return ScratchFolder(std::move(pattern));
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

bool holds(const Config& got, const Config& wanted) {
  return std::all_of(got.entries().begin(), got.entries().end(), [&](const auto& entry) {
    const auto asked = wanted.get(entry.first);
    return !asked || *asked == entry.second;
  });
}

class SimulatedBoard final : public Board {
 public:
  SimulatedBoard(std::unique_ptr<simulation::Machine> machine, ScratchFolder folder, BoardOptions options)
      : folder_(std::move(folder)), machine_(std::move(machine)), host_(machine_->host()), options_(std::move(options)) {}

  Status borrow(const Config& start) {
    std::set<std::string> names;
    for (const Config& config : options_.configs) {
      for (const auto& [name, value] : config.entries()) names.insert(name);
    }
    for (const auto& [name, value] : start.entries()) names.insert(name);
    names.erase("batch");
    found_ = discover(host_, {});
    std::vector<Knob*> knobs;
    for (const auto& knob : found_.knobs) {
      if (names.erase(knob->parameter().name) > 0) knobs.push_back(knob.get());
    }
    if (!names.empty()) {
      std::string known;
      for (const auto& knob : found_.knobs) known += (known.empty() ? "" : ", ") + knob->parameter().name;
      return fail(Errc::kInvalid, fmt::format("{} has no knob '{}'", machine_->board().name, *names.begin()), "it has " + known);
    }
    TRY(lease_, Lease::take(host_, std::move(knobs), {.record_path = folder_.path() + "/lease.json"}));
    TRY(const Config got, lease_->apply(start));
    if (!holds(got, start)) {
      return fail(Errc::kIo, fmt::format("{} was asked for {} and reports {}", machine_->board().name, start.text(), got.text()));
    }
    host_.clock.sleep_until(host_.clock.now() + kSettle);
    origin_ = host_.clock.now();
    energy_at_origin_ = machine_->energy().total();
    return {};
  }

  Seconds now() const override { return host_.clock.now() - origin_; }
  Joules energy() const override { return machine_->energy().total() - energy_at_origin_; }

  Status start_batch(int size) override {
    TRY(batch_, machine_->start({.network = options_.network, .precision = options_.precision, .batch = size}));
    return {};
  }
  Status start_step(const FinetuneJob& job, int items) override {
    TRY(step_, machine_->start(step_work(job, options_.network, items)));
    return {};
  }

  void apply(const Config& config) override {
    change_ = std::make_unique<Change>();
    change_->asked = host_.clock.now();
    change_->ticker = host_.clock.every(kThreadWakes, [this, wanted = config, change = change_.get()] {
      if (change->done) return;
      const auto got = lease_->apply(wanted);
      change->took_effect = got && holds(*got, wanted);
      change->done = host_.clock.now();
    });
  }

  std::optional<Event> next(std::optional<Seconds> until) override {
    while (true) {
      std::optional<Clock::TimePoint> limit;
      if (until) limit = origin_ + *until;
      // The writes are on a clock of their own, which says in the moment they begin when they end.
      bool for_change = false;
      if (change_) {
        const Clock::TimePoint look = change_->done ? *change_->done : change_->asked + 2.0 * kThreadWakes;
        if (!limit || look <= *limit) {
          limit = look;
          for_change = true;
        }
      }
      if (const auto ended = machine_->next_event(limit)) {
        const auto kind = ended->id == batch_ ? Event::Kind::kBatch : Event::Kind::kStep;
        return Event{kind, ended->started - origin_, ended->finished - origin_};
      }
      if (!for_change) return std::nullopt;
      if (!change_->done || *change_->done > host_.clock.now()) continue;
      const Event event{Event::Kind::kApplied, change_->asked - origin_, *change_->done - origin_, change_->took_effect};
      change_.reset();
      return event;
    }
  }

 private:
  struct Change {
    Clock::TimePoint asked;
    std::optional<Clock::TimePoint> done;
    bool took_effect = false;
    std::unique_ptr<Ticker> ticker;  // last, so that it goes first
  };

  ScratchFolder folder_;
  std::unique_ptr<simulation::Machine> machine_;
  Host host_;
  BoardOptions options_;
  polythrottle::Machine found_;
  std::unique_ptr<Lease> lease_;
  std::unique_ptr<Change> change_;
  Clock::TimePoint origin_;
  Joules energy_at_origin_;
  simulation::WorkId batch_ = 0;
  simulation::WorkId step_ = 0;
};

}  // namespace

Result<std::unique_ptr<Board>> Board::make(const BoardOptions& options, const Config& start) {
  if (const auto network = simulation::find_network(options.network); !network) return tl::unexpected<Error>(network.error());
  TRY(auto machine, simulation::Machine::make(options.name, {.seed = options.seed, .noise = options.noise, .faults = options.faults}));
  TRY(auto folder, ScratchFolder::make());
  auto board = std::make_unique<SimulatedBoard>(std::move(machine), std::move(folder), options);
  TRY_STATUS(board->borrow(start));
  return board;
}

}  // namespace polythrottle::replay
