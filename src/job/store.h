#pragma once
// Jobs on disk: they survive the end of the server.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/job.h"

namespace polythrottle::job {

/// What is known of a submitted job, beside its output.
struct Record {
  std::uint64_t id = 0;
  Spec spec;
  State state = State::kStarting;
  std::string kind;           ///< that it runs as; "" while it was never started
  long steps_done = 0;        ///< since it was started last
  std::optional<long> steps;  ///< in all, where it said so
  double submitted = 0.0;     ///< Unix seconds
  std::optional<double> ended;
  std::optional<int> exit_code;
  std::string why;  ///< one sentence
  friend bool operator==(const Record&, const Record&) = default;
};
/// It will not run again.
bool is_over(State state);

/// A folder FOLDER/ID for each job: spec.json, state.json, output.log and work/, in which the job runs. Used by one thread at a time, the
/// output's functions by any.
class Store {
 public:
  static constexpr std::size_t kOutputKept = 16 << 20;  ///< bytes of a job's output that stay, the newest
  static constexpr std::size_t kMostRead = 1 << 20;     ///< bytes

  /// Makes the folder where there is none, and holds it: no second server may use it. A job that was not over is interrupted now.
  /// Errors: kBusy, kPermission, kIo.
  static Result<std::unique_ptr<Store>> open(const std::string& folder, double now);
  ~Store();

  /// On disk when this returns. `now`: Unix seconds. Errors: kPermission, kIo; nothing is left of it then.
  Result<Record> add(const Spec& spec, double now);
  /// The state, not the spec; on disk when this returns. On an error the disk has what it had, and so has `records`. Errors: kNotFound,
  /// kPermission, kIo.
  Status save(const Record& record);
  /// The oldest first.
  std::vector<Record> records() const;
  /// Jobs whose files cannot be read: they stay where they are, for a person to look at.
  const std::vector<Error>& unreadable() const { return unreadable_; }

  std::string output_path(std::uint64_t id) const { return folder_of(id) + "/output.log"; }
  std::string work_folder(std::uint64_t id) const { return folder_of(id) + "/work"; }

  /// Output from byte `offset` on, at most kMostRead bytes; "" where there is none yet. What `bound_output` took away reads as zero bytes.
  /// Errors: kPermission, kIo.
  Result<std::string> read_output(std::uint64_t id, std::size_t offset) const;
  /// Gives all but the last kOutputKept bytes back to the disk, if it is much more. Offsets stay what they are (fallocate(2),
  /// FALLOC_FL_PUNCH_HOLE); on a file system that cannot do that all of it goes, and the output begins again at 0. For whoever looks after
  /// the job to call about once a second. Errors: kIo.
  Status bound_output(std::uint64_t id) const;

 private:
  Store(std::string folder, int lock) : folder_(std::move(folder)), lock_(lock) {}
  std::string folder_of(std::uint64_t id) const { return folder_ + "/" + std::to_string(id); }
  Status load(double now);
  Result<Record> load_one(std::uint64_t id) const;

  const std::string folder_;
  const int lock_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Record> records_;
  std::vector<Error> unreadable_;
};

}  // namespace polythrottle::job
