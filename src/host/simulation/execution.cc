#include "host/simulation/execution.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace polythrottle::simulation {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
/// A remainder shorter than this is rounding.
constexpr double kInstant = 1e-12;
/// However much others copy, a running kernel keeps this part of the bandwidth.
constexpr double kLeastShare = 0.2;

bool same(const Clocks& a, const Clocks& b) { return a.gpu == b.gpu && a.mem == b.mem && a.cpu == b.cpu; }

}  // namespace

WorkId Execution::start(std::shared_ptr<const Plan> plan, double stretch, Seconds now) {
  Stream& stream = streams_[plan.get()];
  stream.plan = plan;
  Job job;
  job.id = ++last_id_;
  job.plan = std::move(plan);
  job.stretch = stretch;
  job.started = now;
  jobs_.push_back(std::move(job));
  // The first batch of a plan finds its data ready; otherwise `settle` starts it when they are.
  if (stream.left <= 0.0) {
    jobs_.back().phase = Phase::kBefore;
    stream.left = jobs_.back().plan->images ? 1.0 : 0.0;
  }
  return last_id_;
}

std::vector<Execution::Completion> Execution::take_completions() { return std::exchange(completions_, {}); }

bool Execution::kernels() const {
  return std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.phase == Phase::kKernels; });
}

bool Execution::cpu_busy() const {
  return !jobs_.empty() || std::any_of(streams_.begin(), streams_.end(), [](const auto& stream) { return stream.second.left > 0.0; });
}

// --- Lengths -------------------------------------------------------------------------------------------------------------------

Execution::Totals Execution::totals(const Plan& plan, const Clocks& clocks) {
  Totals sum;
  for (const Plan::Group& group : plan.groups) {
    const KernelTime time = kernel_time(plan, group.kernel, clocks);
    sum.span += group.count * time.wall.count();
    sum.busy += group.count * time.busy.count();
    sum.compute += group.count * time.compute.count();
    sum.launch += group.count * time.launch.count();
    sum.bytes += group.count * time.bytes;
  }
  return sum;
}

const Execution::Totals& Execution::cached_totals(const Plan& plan, const Clocks& clocks) const {
  const auto [entry, added] = cache_.try_emplace(&plan);
  if (added || !same(entry->second.clocks, clocks)) entry->second = {clocks, totals(plan, clocks)};
  return entry->second.totals;
}

double Execution::phase_left(const Job& job, const Clocks& clocks) const {
  const double length =
      job.phase == Phase::kKernels ? cached_totals(*job.plan, clocks).span : 0.5 * request_time(*job.plan, clocks.cpu).count();
  return (1.0 - job.done) * length * job.stretch;
}

double Execution::preprocessing_cores(const Plan& plan, double online_cores) { return std::min(plan.preprocess_workers, online_cores); }

double Execution::data_left(const Plan& plan, const Clocks& clocks, double online_cores) const {
  const double whole =
      preprocess_time(plan, clocks.cpu).count() * plan.preprocess_workers / std::max(1.0, preprocessing_cores(plan, online_cores));
  return streams_.at(&plan).left * whole;
}

double Execution::copied(const Job& waiting, const Clocks& clocks) const {
  const Totals& sum = cached_totals(*waiting.plan, clocks);
  return sharing_.copy_share * sum.bytes / sum.span;
}

double Execution::bandwidth_left(const Job& running, const Clocks& clocks) const {
  const Board& board = *running.plan->board;
  const double peak = board.constants.dram_bytes_per_mem_cycle * clocks.mem.si();
  double taken = 0.0;
  for (const Job& job : jobs_) {
    if (job.phase == Phase::kKernels && job.id != running.id) taken += copied(job, clocks);
  }
  return std::max(kLeastShare, 1.0 - taken / peak);
}

KernelTime Execution::current_kernel(const Job& job, const Clocks& clocks) const {
  return kernel_time(*job.plan, job.plan->kernels[job.kernel], clocks, bandwidth_left(job, clocks));
}

double Execution::kernel_left(const Job& job, const Clocks& clocks) const {
  const KernelTime time = current_kernel(job, clocks);
  return (1.0 - job.kernel_done) * (time.busy + (time.wall - time.busy) * job.gap_share).count() * job.stretch;
}

const Execution::Job* Execution::holder() const {
  const auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.id == holder_; });
  return found != jobs_.end() && found->phase == Phase::kKernels ? &*found : nullptr;
}

// --- The present ---------------------------------------------------------------------------------------------------------------

Activity Execution::activity(const Clocks& clocks, double online_cores) const {
  Activity now;
  const auto compute = [&](const Plan& plan, double share) {
    (plan.precision == Precision::kFp16 ? now.gpu_compute : now.gpu_compute_single) += share;
  };
  for (const auto& [plan, stream] : streams_) {
    if (stream.left > 0.0) now.cpu_cores += preprocessing_cores(*plan, online_cores);
  }
  for (const Job& job : jobs_) {
    if (job.phase == Phase::kBefore || job.phase == Phase::kAfter) now.cpu_cores += 1.0;
    if (job.phase != Phase::kKernels) continue;
    if (sharing_now_ && (job.id != holder_ || switch_left_ > 0.0)) {
      if (job.queued < sharing_.launch_ahead.count()) now.cpu_cores += 1.0;
      now.traffic += copied(job, clocks);
    } else if (switch_left_ > 0.0) {
      continue;
    } else if (sharing_now_) {
      const KernelTime time = current_kernel(job, clocks);
      const double length = (time.busy + (time.wall - time.busy) * job.gap_share).count();
      now.gpu_busy += time.busy.count() / length;
      compute(*job.plan, time.compute.count() / length);
      now.traffic += time.bytes / length;
      now.cpu_cores += std::min(1.0, time.launch.count() / length);
    } else {
      const Totals& sum = cached_totals(*job.plan, clocks);
      now.gpu_busy += sum.busy / sum.span;
      compute(*job.plan, sum.compute / sum.span);
      now.traffic += sum.bytes / sum.span;
      now.cpu_cores += sum.launch / sum.span;
    }
  }
  return now;
}

Seconds Execution::boundary(const Clocks& clocks, double online_cores) const {
  double next = kNever;
  for (const auto& [plan, stream] : streams_) {
    if (stream.left > 0.0) next = std::min(next, data_left(*plan, clocks, online_cores));
  }
  if (kernels()) {
    if (switch_left_ > 0.0) {
      next = std::min(next, switch_left_);
    } else if (sharing_now_) {
      next = std::min({next, kernel_left(*holder(), clocks), slice_left_});
    }
  }
  for (const Job& job : jobs_) {
    if (job.phase == Phase::kData) continue;  // its stream says when
    if (job.phase == Phase::kKernels && (sharing_now_ || switch_left_ > 0.0)) {
      const double room = sharing_.launch_ahead.count() - job.queued;
      if (sharing_now_ && job.id != holder_ && room > 0.0) next = std::min(next, room);
      continue;
    }
    next = std::min(next, phase_left(job, clocks));
  }
  return Seconds(next);
}

void Execution::progress(const Clocks& clocks, double online_cores, Seconds step, Seconds now) {
  const double time = step.count();
  for (auto& [plan, stream] : streams_) {
    if (stream.left <= 0.0) continue;
    const double left = data_left(*plan, clocks, online_cores);
    stream.left = left - time <= kInstant ? 0.0 : stream.left * (1.0 - time / left);
  }
  const bool switching = switch_left_ > 0.0;
  for (Job& job : jobs_) {
    if (job.phase == Phase::kData) continue;
    if (job.phase == Phase::kKernels && (sharing_now_ || switching)) {
      if (sharing_now_ && job.id == holder_ && !switching) {
        const double left = kernel_left(job, clocks);
        job.kernel_done = left - time <= kInstant ? 1.0 : 1.0 - (1.0 - job.kernel_done) * (1.0 - time / left);
      } else if (sharing_now_) {
        job.queued = std::min(sharing_.launch_ahead.count(), job.queued + time);
        if (sharing_.launch_ahead.count() - job.queued <= kInstant) job.queued = sharing_.launch_ahead.count();
      }
      continue;
    }
    const double left = phase_left(job, clocks);
    job.done = left - time <= kInstant ? 1.0 : 1.0 - (1.0 - job.done) * (1.0 - time / left);
  }
  if (switching) {
    switch_left_ = switch_left_ - time <= kInstant ? 0.0 : switch_left_ - time;
  } else if (sharing_now_) {
    slice_left_ = slice_left_ - time <= kInstant ? 0.0 : slice_left_ - time;
  }
  settle(clocks, now);
}

// --- Transitions ---------------------------------------------------------------------------------------------------------------

void Execution::begin_kernel(Job& job, const KernelTime& time) {
  const double gap = (time.wall - time.busy).count();
  const double used = std::min(gap, job.queued);
  job.queued -= used;
  job.gap_share = gap > 0.0 ? 1.0 - used / gap : 1.0;
  job.kernel_done = 0.0;
}

void Execution::settle(const Clocks& clocks, Seconds now) {
  for (Job& job : jobs_) {
    if (job.phase == Phase::kData && streams_.at(job.plan.get()).left <= 0.0) {
      job.phase = Phase::kBefore;
      job.done = 0.0;
      streams_.at(job.plan.get()).left = job.plan->images ? 1.0 : 0.0;
    }
    if (job.phase == Phase::kKernels && sharing_now_ && job.kernel_done >= 1.0) {
      if (++job.kernel < job.plan->kernels.size()) {
        begin_kernel(job, current_kernel(job, clocks));
      } else {
        job.done = 1.0;
      }
    }
    if (job.done < 1.0) continue;
    if (job.phase == Phase::kBefore) {
      job.phase = Phase::kKernels;
      job.done = 0.0;
      job.kernel = 0;
      job.kernel_done = 0.0;
      job.gap_share = 1.0;
      job.queued = 0.0;
    } else if (job.phase == Phase::kKernels) {
      job.phase = Phase::kAfter;
      job.done = 0.0;
    } else if (job.phase == Phase::kAfter) {
      completions_.push_back({job.id, job.started, now});
    }
  }
  std::erase_if(jobs_, [](const Job& job) { return job.phase == Phase::kAfter && job.done >= 1.0; });
  share_or_not(clocks);
}

void Execution::share_or_not(const Clocks& clocks) {
  const auto with_kernels = std::count_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.phase == Phase::kKernels; });
  const bool share = with_kernels >= 2;
  if (share && !sharing_now_) {
    // Who was alone goes on where it was, now counted in kernels.
    for (Job& job : jobs_) {
      if (job.phase != Phase::kKernels) continue;
      double at = job.done * totals(*job.plan, clocks).span;
      const auto& kernels = job.plan->kernels;
      for (job.kernel = 0; job.kernel + 1 < kernels.size(); ++job.kernel) {
        const double length = kernel_time(*job.plan, kernels[job.kernel], clocks).wall.count();
        if (at < length) break;
        at -= length;
      }
      const double length = kernel_time(*job.plan, kernels[job.kernel], clocks).wall.count();
      job.kernel_done = std::min(at / length, 1.0 - 1e-9);
      job.gap_share = 1.0;
      job.queued = 0.0;
    }
    sharing_now_ = true;
    if (holder() == nullptr) holder_ = 0;
    slice_left_ = sharing_.slice.count();
  } else if (!share && sharing_now_) {
    for (Job& job : jobs_) {
      if (job.phase != Phase::kKernels) continue;
      double passed = 0.0, whole = 0.0;
      for (std::size_t i = 0; i < job.plan->kernels.size(); ++i) {
        const double length = kernel_time(*job.plan, job.plan->kernels[i], clocks).wall.count();
        whole += length;
        if (i < job.kernel) passed += length;
        if (i == job.kernel) passed += job.kernel_done * length;
      }
      job.done = std::min(passed / whole, 1.0 - 1e-9);
    }
    sharing_now_ = false;
  }
  pass_on();
}

void Execution::pass_on() {
  const bool held = holder() != nullptr;
  if (held && (!sharing_now_ || slice_left_ > 0.0 || switch_left_ > 0.0)) return;
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
  // Work of the plan that ran last finds its context in place.
  if (context_ != nullptr && context_ != next->plan.get()) switch_left_ = sharing_.switching.count();
  context_ = next->plan.get();
  holder_ = next->id;
  slice_left_ = sharing_.slice.count();
}

}  // namespace polythrottle::simulation
