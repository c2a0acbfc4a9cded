#pragma once
// Work on many rows by a few threads.

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace polythrottle {

/// Calls work(begin, end) for stretches of `block` rows of [0, count), each once, on at most `threads` threads, the caller's among them.
/// The stretches do not depend on the number of threads; who gets which does, so that a busy core holds nobody up.
template <class Work>
void in_blocks(Eigen::Index count, Eigen::Index block, unsigned threads, const Work& work) {
  std::atomic<Eigen::Index> next{0};
  const auto worker = [&] {
    for (Eigen::Index begin = next.fetch_add(block); begin < count; begin = next.fetch_add(block))
      work(begin, std::min(count, begin + block));
  };
  const auto useful = static_cast<unsigned>((count + block - 1) / block);
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < std::min(threads, useful); ++i) others.emplace_back(worker);
  worker();
}

}  // namespace polythrottle
