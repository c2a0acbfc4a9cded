#include "host/simulation/execution.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace polythrottle::simulation {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
/// A remainder shorter than this is rounding.
constexpr double kInstant = 1e-12;
/// However much others copy, a running kernel keeps this part of the bandwidth.
constexpr double kLeastShare = 0.2;
/// The traffic of a waiting context is taken for clocks as near as this to the present ones.
constexpr double kNear = 0.01;

bool near(Hertz a, Hertz b, double tolerance) { return std::abs((a - b).si()) <= tolerance * b.si(); }

double without(double left, double time) { return left - time <= kInstant ? 0.0 : left - time; }

/// The arithmetic units have been at work for `seconds`.
void add_compute(Activity& sum, const Plan& plan, double seconds) {
  (plan.precision == Precision::kFp16 ? sum.gpu_compute : sum.gpu_compute_single) += seconds;
}

}  // namespace

Status check(const Sharing& sharing) {
  if (!(sharing.slice > Seconds(0))) return fail(Errc::kInvalid, "share a simulated GPU: its slice of time is not above 0");
  if (!(sharing.switching >= Seconds(0))) return fail(Errc::kInvalid, "share a simulated GPU: the time of a switch is below 0");
  if (!(sharing.launch_ahead >= Seconds(0))) return fail(Errc::kInvalid, "share a simulated GPU: the time of launches ahead is below 0");
  if (!(sharing.copy_share >= 0.0 && sharing.copy_share <= 1.0)) {
    return fail(Errc::kInvalid, "share a simulated GPU: the share of traffic that goes on is not in 0 to 1");
  }
  return {};
}

WorkId Execution::start(std::shared_ptr<const Plan> plan, double stretch, Seconds now) {
  Job job;
  job.id = ++last_id_;
  job.plan = std::move(plan);
  job.stretch = stretch;
  job.started = now;
  // The first batch of a process finds its data ready; otherwise `settle` starts it when they are.
  if (loaders_[process(*job.plan)].left <= 0.0) {
    job.phase = Phase::kBefore;
    load_next(job);
  }
  jobs_.push_back(std::move(job));
  return last_id_;
}

std::vector<Execution::Completion> Execution::take_completions() { return std::exchange(completions_, {}); }

bool Execution::kernels() const {
  return std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.phase == Phase::kKernels; });
}

bool Execution::cpu_busy() const {
  return !jobs_.empty() || std::any_of(loaders_.begin(), loaders_.end(), [](const auto& each) { return each.second.left > 0.0; });
}

// --- Lengths -------------------------------------------------------------------------------------------------------------------

double Execution::preprocessing_cores(const Plan& plan, double online_cores) { return std::min(plan.preprocess_workers, online_cores); }

double Execution::data_left(const Loader& loader, const Clocks& clocks, double online_cores) {
  const Plan& plan = *loader.plan;
  const double alone = preprocess_time(plan, clocks.cpu).count() * plan.preprocess_workers;
  return loader.left * alone / std::max(1.0, preprocessing_cores(plan, online_cores));
}

double Execution::request_left(const Job& job, const Clocks& clocks) {
  return (1.0 - job.done) * 0.5 * request_time(*job.plan, clocks.cpu).count() * job.stretch;
}

const Execution::Job* Execution::holder() const {
  const auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.id == holder_; });
  return found != jobs_.end() && found->phase == Phase::kKernels ? &*found : nullptr;
}

const Totals& Execution::totals_at(const Plan& plan, const Clocks& clocks, double tolerance) const {
  const auto [entry, added] = cache_.try_emplace(&plan);
  Cached& known = entry->second;
  const Clocks& at = known.clocks;
  if (added || !near(at.gpu, clocks.gpu, tolerance) || !near(at.mem, clocks.mem, tolerance) || !near(at.cpu, clocks.cpu, tolerance)) {
    known = {clocks, totals(plan, clocks)};
  }
  return known.totals;
}

double Execution::copied(const Job& waiting, const Clocks& clocks) const {
  const Totals& sum = totals_at(*waiting.plan, clocks, kNear);
  return sharing_.copy_share * sum.bytes / sum.span;
}

double Execution::bandwidth_left(const Job& running, const Clocks& clocks) const {
  if (!sharing_now_) return 1.0;
  const double peak = running.plan->board->constants.dram_bytes_per_mem_cycle * clocks.mem.si();
  double taken = 0.0;
  for (const Job& job : jobs_) {
    if (job.phase == Phase::kKernels && job.id != running.id) taken += copied(job, clocks);
  }
  return std::max(kLeastShare, 1.0 - taken / peak);
}

Seconds Execution::boundary(const Clocks& clocks, double online_cores) const {
  double next = kNever;
  for (const auto& [process, loader] : loaders_) {
    if (loader.left > 0.0) next = std::min(next, data_left(loader, clocks, online_cores));
  }
  for (const Job& job : jobs_) {
    if (job.phase == Phase::kBefore || job.phase == Phase::kAfter) next = std::min(next, request_left(job, clocks));
  }
  if (const Job* running = holder()) {
    Job ahead = *running;
    const KernelTiming timing(*ahead.plan->board, clocks, bandwidth_left(ahead, clocks));
    double left = 0.0;
    for (; ahead.kernel < ahead.plan->kernels.size(); ++ahead.kernel) {
      left += (1.0 - ahead.done) * ahead.stretch * timing.of(ahead.plan->kernels[ahead.kernel]).wall.count();
      ahead.done = 0.0;
    }
    next = std::min(next, switch_left_ + (sharing_now_ ? std::min(slice_left_, left) : left));
  }
  return Seconds(next);
}

// --- Time passes ---------------------------------------------------------------------------------------------------------------

Execution::Passed Execution::pass(const Clocks& clocks, double online_cores, Seconds at_most, Seconds now) {
  double limit = at_most.count();
  for (const auto& [process, loader] : loaders_) {
    if (loader.left > 0.0) limit = std::min(limit, data_left(loader, clocks, online_cores));
  }
  for (const Job& job : jobs_) {
    if (job.phase == Phase::kBefore || job.phase == Phase::kAfter) limit = std::min(limit, request_left(job, clocks));
  }
  Activity sum;
  const double step = run_gpu(clocks, limit, sum);
  for (auto& [process, loader] : loaders_) {
    if (loader.left <= 0.0) continue;
    const double left = data_left(loader, clocks, online_cores);
    loader.left = left - step <= kInstant ? 0.0 : loader.left * (1.0 - step / left);
    sum.cpu_cores += step * preprocessing_cores(*loader.plan, online_cores);
  }
  for (Job& job : jobs_) {
    if (job.phase != Phase::kBefore && job.phase != Phase::kAfter) continue;
    const double left = request_left(job, clocks);
    job.done = left - step <= kInstant ? 1.0 : 1.0 - (1.0 - job.done) * (1.0 - step / left);
    sum.cpu_cores += step;
  }
  if (!jobs_.empty()) settle(now + Seconds(step));
  Passed passed;
  passed.step = Seconds(step);
  if (step > 0.0) {
    passed.activity = {sum.gpu_busy / step, sum.gpu_compute / step, sum.gpu_compute_single / step, sum.traffic / step,
                       sum.cpu_cores / step};
  }
  return passed;
}

/// A turn of whoever has the GPU, up to `limit`; answers its length.
double Execution::run_gpu(const Clocks& clocks, double limit, Activity& sum) {
  auto* running = const_cast<Job*>(holder());
  if (running == nullptr) return limit;
  const double switching = std::min(switch_left_, limit);
  double step = switching;
  // Its launches queue up while its context is loaded.
  if (sharing_now_) wait(*running, clocks, switching, sum);
  if (switch_left_ <= limit) {
    const double ran = walk(*running, clocks, sharing_now_ ? std::min(slice_left_, limit - switching) : limit - switching, sum);
    if (sharing_now_) slice_left_ = without(slice_left_, ran);
    step += ran;
  }
  switch_left_ = without(switch_left_, switching);
  if (!sharing_now_) return step;
  for (Job& job : jobs_) {
    if (job.phase == Phase::kKernels && job.id != running->id) wait(job, clocks, step, sum);
  }
  return step;
}

/// CPU time of the launches that `job` has still to make, were none queued up.
double Execution::launches_left(const Job& job, const Clocks& clocks) {
  const Plan& plan = *job.plan;
  return static_cast<double>(plan.kernels.size() - job.kernel) * plan.board->scalars.launch_cycles / clocks.cpu.si();
}

void Execution::wait(Job& job, const Clocks& clocks, double time, Activity& sum) const {
  const double most = std::min(sharing_.launch_ahead.count(), launches_left(job, clocks));
  const double launches = std::clamp(most - job.queued, 0.0, time);
  job.queued += launches;
  sum.cpu_cores += launches;
  sum.traffic += time * copied(job, clocks);
}

/// Its kernels for `budget` seconds, or to the last one; answers how long that was.
double Execution::walk(Job& job, const Clocks& clocks, double budget, Activity& sum) {
  if (sharing_now_) return walk_one_by_one(job, clocks, budget, sum);
  const Plan& plan = *job.plan;
  const Totals& whole = totals_at(plan, clocks, 0.0);
  const bool queued = job.queued > 0.0;
  Activity walked;
  double used = whole.span * job.stretch;
  if (job.kernel == 0 && job.done == 0.0 && !queued && used - budget <= kInstant) {
    job.kernel = plan.kernels.size();
  } else {
    used = walk_one_by_one(job, clocks, budget, walked);
  }
  const double share = used / whole.span;
  sum.gpu_busy += share * whole.busy;
  add_compute(sum, plan, share * whole.compute);
  sum.traffic += share * whole.bytes;
  sum.cpu_cores += queued ? walked.cpu_cores : share * whole.launches;
  return used;
}

double Execution::walk_one_by_one(Job& job, const Clocks& clocks, double budget, Activity& sum) const {
  const Plan& plan = *job.plan;
  const KernelTiming timing(*plan.board, clocks, bandwidth_left(job, clocks));
  double used = 0.0, compute = 0.0;
  while (job.kernel < plan.kernels.size() && budget - used > kInstant) {
    const KernelTime time = timing.of(plan.kernels[job.kernel]);
    const double gap = (time.wall - time.busy).count();
    if (job.done == 0.0) {
      // It has just begun: launches that queued up need not be waited for.
      const double ahead = std::min(gap, job.queued);
      job.queued -= ahead;
      job.gap_share = gap > 0.0 ? 1.0 - ahead / gap : 1.0;
    }
    const double length = time.busy.count() + gap * job.gap_share;
    const double left = (1.0 - job.done) * length * job.stretch;
    const bool ends = left - (budget - used) <= kInstant;
    const double taken = ends ? left : budget - used;
    const double share = taken / length;
    sum.gpu_busy += share * time.busy.count();
    compute += share * time.compute.count();
    sum.traffic += share * time.bytes;
    // While it runs, a later one is launched, unless all have been.
    if (job.queued < launches_left(job, clocks)) sum.cpu_cores += share * std::min(length, time.launch.count());
    used += taken;
    if (ends) {
      ++job.kernel;
      job.done = 0.0;
    } else {
      job.done += share / job.stretch;
    }
  }
  add_compute(sum, plan, compute);
  return used;
}

// --- Transitions ---------------------------------------------------------------------------------------------------------------

void Execution::load_next(const Job& job) { loaders_[process(*job.plan)] = {job.plan, job.plan->images ? 1.0 : 0.0}; }

void Execution::settle(Seconds now) {
  const auto enter = [](Job& job, Phase phase) {
    job.phase = phase;
    job.done = 0.0;
  };
  bool ended = false;
  for (Job& job : jobs_) {
    if (job.phase == Phase::kData && loaders_[process(*job.plan)].left <= 0.0) {
      enter(job, Phase::kBefore);
      load_next(job);
    } else if (job.phase == Phase::kBefore && job.done >= 1.0) {
      enter(job, Phase::kKernels);
    } else if (job.phase == Phase::kKernels && job.kernel == job.plan->kernels.size()) {
      enter(job, Phase::kAfter);
    } else if (job.phase == Phase::kAfter && job.done >= 1.0) {
      completions_.push_back({job.id, job.started, now});
      ended = true;
    }
  }
  if (ended) std::erase_if(jobs_, [](const Job& job) { return job.phase == Phase::kAfter && job.done >= 1.0; });
  const bool share = std::count_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.phase == Phase::kKernels; }) >= 2;
  if (share && !sharing_now_) {
    if (holder() == nullptr) holder_ = 0;
    slice_left_ = sharing_.slice.count();
  }
  sharing_now_ = share;
  pass_on();
}

void Execution::pass_on() {
  if (holder() != nullptr && (!sharing_now_ || slice_left_ > 0.0 || switch_left_ > 0.0)) return;
  // Round robin by age: the next younger one with kernels, else the oldest.
  const Job* oldest = nullptr;
  const Job* next = nullptr;
  for (const Job& job : jobs_) {
    if (job.phase != Phase::kKernels) continue;
    if (oldest == nullptr) oldest = &job;
    if (next == nullptr && job.id > holder_) next = &job;
  }
  if (next == nullptr) next = oldest;
  if (next == nullptr) return;
  // The process that ran last finds its context in place.
  const Process wanted = process(*next->plan);
  if (context_.first != nullptr && context_ != wanted) switch_left_ = sharing_.switching.count();
  context_ = wanted;
  holder_ = next->id;
  slice_left_ = sharing_.slice.count();
}

}  // namespace polythrottle::simulation
