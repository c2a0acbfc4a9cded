// Jobs that speak the step protocol (docs/step-protocol.md): they say what a step is, and do no work but what they are let.

#include <fmt/format.h>

#include <algorithm>

#include "job/program_tree.h"
#include "job/step_message.h"
#include "job/step_socket.h"

namespace polythrottle::job {
namespace {

constexpr Seconds kEndTime{1.0};  ///< between the end of the socket to the supervisor and its exit code

tl::unexpected<Error> garbage(std::string what) {
  return fail(Errc::kCorrupt, "step protocol: " + std::move(what), "docs/step-protocol.md");
}

class StepJob final : public Job {
 public:
  StepJob(std::unique_ptr<ProgramTree> tree, StepSocket socket) : tree_(std::move(tree)), socket_(std::move(socket)) {}

  std::string_view kind() const override { return "step"; }

  Result<std::optional<Offer>> next(Seconds patience) override {
    if (broken_) return tl::unexpected<Error>(*broken_);
    const auto deadline = clock_->now() + patience;
    while (want_ == 0) {
      auto event = socket_.wait(*clock_, deadline, tree_->end());
      if (!event) return refuse(std::move(event.error()));
      switch (event->kind) {
        case StepSocket::Event::Kind::kLine: {
          if (auto heard = hear(event->line); !heard) return refuse(std::move(heard.error()));
          break;
        }
        case StepSocket::Event::Kind::kGone:
          greeted_ = false;  // the next part of the program may come
          break;
        case StepSocket::Event::Kind::kOther: {
          if (has_ended()) return std::optional<Offer>();
          break;
        }
        case StepSocket::Event::Kind::kTimeout: return fail(Errc::kTimeout, "step protocol: " + what_it_does());
      }
    }
    return offer();
  }

  Result<Seconds> run(int items, Seconds patience) override {
    if (broken_) return tl::unexpected<Error>(*broken_);
    if (items < 1 || items > want_) {
      return fail(Errc::kInvalid, fmt::format("step protocol: let {} items of the {} that the job wants", items, want_));
    }
    const auto begin = clock_->now();
    if (auto said = socket_.say(step_permit(items)); !said) return refuse(std::move(said.error()));
    want_ = 0;
    for (;;) {
      auto event = socket_.wait(*clock_, begin + patience, tree_->end());
      if (!event) return refuse(std::move(event.error()));
      switch (event->kind) {
        case StepSocket::Event::Kind::kLine: {
          const auto message = parse_step_message(event->line);
          if (!message) return refuse(message.error());
          const auto* done = std::get_if<StepDone>(&*message);
          if (done == nullptr || done->items != items) {
            return refuse(garbage(fmt::format("{{\"done\":{}}} was expected, not '{}'", items, event->line.substr(0, 60))).value());
          }
          in_step_ = (in_step_ + items) % hello_->items;
          if (in_step_ == 0) ++steps_done_;
          return clock_->now() - begin;
        }
        case StepSocket::Event::Kind::kGone:
          // Most often it has died, and that says more.
          if (has_ended()) return died();
          return refuse({Errc::kIo, "step protocol: the job closed its connection in the middle of a step", {}});
        case StepSocket::Event::Kind::kOther: {
          if (has_ended()) return died();
          break;
        }
        case StepSocket::Event::Kind::kTimeout:
          return refuse({Errc::kTimeout,
                         fmt::format("step protocol: the job did not report its {} items within {:.3g} s", items, patience.count()),
                         "it is stopped; cancel it"});
      }
    }
  }

  std::optional<int> ended() override { return tree_->ended(); }
  void cut() override { tree_->cut(); }

 private:
  Status hear(const std::string& line) {
    TRY(const StepMessage message, parse_step_message(line));
    if (const auto* hello = std::get_if<StepHello>(&message)) return greet(*hello);
    if (std::holds_alternative<StepEnd>(message)) {
      over_ = true;
      return {};
    }
    const auto* want = std::get_if<StepWant>(&message);
    if (want == nullptr) return garbage("the job says that it has done what it was not let");
    if (!hello_ || !greeted_) return garbage("the job wants to go on before it has said what a step is");
    if (want->items != hello_->items - in_step_) {
      return garbage(fmt::format("the job wants {} items, and {} are left of its step", want->items, hello_->items - in_step_));
    }
    want_ = want->items;
    over_ = false;
    return {};
  }

  /// A job may be several programs one after the other, as long as their steps are alike.
  Status greet(const StepHello& hello) {
    if (hello_ && (hello.items != hello_->items || hello.pieces != hello_->pieces || in_step_ != 0)) {
      return garbage("a second program of the job has other steps, or the first left one undone");
    }
    hello_ = hello;
    greeted_ = true;
    steps_done_ = 0;
    return {};
  }

  Offer offer() const {
    const long left = hello_->steps.value_or(1) - steps_done_;
    // The cost of an item is what the predictor takes it for, whatever the size of the piece.
    return Offer{.items = hello_->items,
                 .pieces = hello_->pieces,
                 .steps = std::max(1L, left),
                 .open_ended = !hello_->steps || left < 1,
                 .cost = hello_->cost};
  }

  bool has_ended() {
    const auto until = clock_->now() + kEndTime;
    while (!tree_->ended() && clock_->now() < until) clock_->sleep_until(clock_->now() + Seconds(0.0002));
    return tree_->ended().has_value();
  }

  tl::unexpected<Error> died() const {
    return fail(Errc::kIo,
                fmt::format("step protocol: the job ended in the middle of a step with exit code {}", tree_->ended().value_or(-1)));
  }

  /// It may not go on, and every later call says why.
  tl::unexpected<Error> refuse(Error why) {
    if (socket_.connected()) (void)socket_.say(step_refusal(why.what));
    if (!tree_->hold()) tree_->stop(Seconds(0));
    broken_ = why;
    return tl::unexpected<Error>(std::move(why));
  }

  std::string what_it_does() const {
    if (over_) return "the job has no more steps and has not ended yet";
    if (greeted_) return "the job has not asked to go on";
    return fmt::format("the job has not connected to the socket in {}", kStepVariable);
  }

  std::unique_ptr<Clock> clock_ = real_clock();
  std::unique_ptr<ProgramTree> tree_;
  StepSocket socket_;
  std::optional<StepHello> hello_;
  bool greeted_ = false, over_ = false;
  int want_ = 0;     ///< items; 0: it has not asked
  int in_step_ = 0;  ///< items done of the step in progress
  long steps_done_ = 0;
  std::optional<Error> broken_;
};

}  // namespace
}  // namespace polythrottle::job

namespace polythrottle::job_driver {
namespace {

Status available() { return {}; }

Result<std::unique_ptr<job::Job>> start(const job::Spec& spec, const std::string& folder, const std::string& output) {
  TRY(const auto user, job::current_job_user());
  TRY(auto socket, job::StepSocket::listen(user));
  TRY(auto tree, job::ProgramTree::start(
                     spec, folder, output,
                     {.environment = {{job::kStepVariable, socket.path()}}, .files = {socket.path()}, .folders = {socket.folder()}}));
  return std::make_unique<job::StepJob>(std::move(tree), std::move(socket));
}

}  // namespace

extern const job::KindDriver step;
constinit const job::KindDriver step{"step", "programs that speak the step protocol: whole steps or pieces of them", available, start};

}  // namespace polythrottle::job_driver
