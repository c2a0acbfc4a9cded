#pragma once
// The jobs of a server: each a program of the user's on a thread of ours, which lets it work when the core says so.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "job/store.h"
#include "server/co_run.h"
#include "server/dispatcher.h"

namespace polythrottle::server {

struct JobsOptions {
  interference::WorkCost inference;  ///< of the model that is served
  Seconds batch_alone{0};            ///< latency of one request alone
  int largest_batch = 1;
  std::map<std::string, std::int64_t> dimensions;
  Seconds patience{600};   ///< for the job's answer to one permit; then it is held for good
  Seconds start_up{600};   ///< until it offers its first step
  bool simulated = false;  ///< batches are a simulated board's: a program of this machine slows none of them
};

/// Safe from several threads. Store and dispatcher outlive it, and it the dispatcher's `stop`: steps under way end first.
class Jobs {
 public:
  /// Jobs that an earlier server left are there again, interrupted; `resume` starts them once more.
  Jobs(Clock& clock, job::Store& store, Dispatcher& dispatcher, JobsOptions options);
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  tl::expected<std::uint64_t, Failure> submit(const job::Spec& spec);
  std::vector<JobStatus> list() const;
  tl::expected<void, Failure> pause(std::uint64_t job, bool paused);
  tl::expected<void, Failure> cancel(std::uint64_t job);
  tl::expected<std::string, Failure> logs(std::uint64_t job, std::size_t offset) const;
  tl::expected<std::vector<std::string>, Failure> why(std::uint64_t job) const;
  /// Ends every program; those not finished are interrupted and may be resumed by the next server.
  void stop();

 private:
  struct Entry;
  std::shared_ptr<Entry> find(std::uint64_t job) const;
  void start(const std::shared_ptr<Entry>& entry);
  void run(const std::shared_ptr<Entry>& entry, std::stop_token stop);
  void save(Entry& entry);
  void set(Entry& entry, job::State state, std::string why);
  Status serve_steps(const std::shared_ptr<Entry>& entry, job::Job& program, std::stop_token stop);

  Clock& clock_;
  job::Store& store_;
  Dispatcher& dispatcher_;
  const JobsOptions options_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Entry>> entries_;
  std::vector<std::jthread> ended_;
  std::mutex co_runs_;  // one job's at a time; taken without the other
  bool stopping_ = false;
};

}  // namespace polythrottle::server
