#pragma once
// A backend for tests: one input X and one output Y, float32 [-1, 2]; Y is X + 1. Runs when the test lets it.

#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <vector>

#include "engine/backend.h"

namespace polythrottle::server {

class FakeBackend : public Backend {
 public:
  explicit FakeBackend(bool held = false) : held_(held) {
    info_.path = "fake";
    info_.inputs = {{"X", "float32", {-1, 2}, {"batch", ""}}};
    info_.outputs = {{"Y", "float32", {-1, 2}, {"batch", ""}}};
  }

  const ModelInfo& model() const override { return info_; }

  Result<std::vector<std::vector<Tensor>>> run(std::span<const Slice> slices) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !held_ || permits_ > 0; });
    if (held_) --permits_;
    std::size_t rows = 0;
    std::vector<std::vector<Tensor>> out;
    for (const auto& slice : slices) {
      rows += static_cast<std::size_t>(slice.inputs[0].shape[0]);
      std::vector<float> numbers(slice.inputs[0].bytes.view.size() / sizeof(float));
      std::memcpy(numbers.data(), slice.inputs[0].bytes.view.data(), slice.inputs[0].bytes.view.size());
      for (auto& number : numbers) number += 1.0f;
      std::vector<std::byte> bytes(slice.inputs[0].bytes.view.size());
      std::memcpy(bytes.data(), numbers.data(), bytes.size());
      out.push_back({Tensor{"Y", DataType::kFloat32, slice.inputs[0].shape, Bytes::of(std::move(bytes))}});
    }
    sizes_.push_back(rows);
    changed_.notify_all();
    if (failing) return failing(slices).map([&] { return out; });
    return out;
  }

  /// Lets `count` more batches run.
  void let(int count) {
    const std::lock_guard lock(mutex_);
    permits_ += count;
    changed_.notify_all();
  }
  /// Lets everything run from now on.
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  /// Rows of each batch so far.
  std::vector<std::size_t> sizes() {
    const std::lock_guard lock(mutex_);
    return sizes_;
  }

  std::function<Status(std::span<const Slice>)> failing;  ///< set before the first run

 private:
  ModelInfo info_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_;
  int permits_ = 0;
  std::vector<std::size_t> sizes_;
};

/// `rows` rows of `value`, value.
inline Tensor fake_input(std::int64_t rows, float value) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows) * 2 * sizeof(float));
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) std::memcpy(bytes.data() + i, &value, sizeof value);
  return {"X", DataType::kFloat32, {rows, 2}, Bytes::of(std::move(bytes))};
}

inline float first_number(const Tensor& tensor) {
  float value = 0.0f;
  std::memcpy(&value, tensor.bytes.view.data(), sizeof value);
  return value;
}

}  // namespace polythrottle::server
