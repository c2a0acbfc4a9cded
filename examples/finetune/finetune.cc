// Fine-tunes the last layers of a small network beside the server that serves it: the job of the paper's daily update.
//
//   finetune pretrain --data digits.csv --out base.onnx              a model that has seen the digits 0 to 6 only
//   finetune update   --data digits.csv --model base.onnx --out new.onnx   learns the others too, step by step as it is let
//   finetune accuracy --data digits.csv --model new.onnx
//
// Run by `polythrottle job submit --kind step`, `update` computes what the server lets it and when; run alone, all at once.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <polythrottle/step.hpp>
#include <random>
#include <vector>

#include "digits.h"
#include "network.h"

namespace {

constexpr int kBatch = 32;
constexpr int kKnown = 7;  ///< digits that the first training sees

struct Words {
  std::string data, model, out;
  long steps = 150;
  std::uint64_t seed = 1;
};

/// Images in random order, for ever.
class Stream {
 public:
  Stream(const std::vector<Digit>& images, std::uint64_t seed) : images_(images), random_(seed) {
    std::shuffle(images_.begin(), images_.end(), random_);
  }
  /// Valid until the next call.
  std::span<const Digit> take(int count) {
    if (at_ + static_cast<std::size_t>(count) > images_.size()) {
      std::shuffle(images_.begin(), images_.end(), random_);
      at_ = 0;
    }
    at_ += static_cast<std::size_t>(count);
    return std::span(images_).subspan(at_ - static_cast<std::size_t>(count), static_cast<std::size_t>(count));
  }

 private:
  std::vector<Digit> images_;
  std::mt19937_64 random_;
  std::size_t at_ = 0;
};

void pretrain(const Words& words) {
  const Digits digits = read_digits(words.data);
  std::vector<Digit> known;
  std::copy_if(digits.training.begin(), digits.training.end(), std::back_inserter(known),
               [](const Digit& digit) { return digit.label < kKnown; });
  Network network(Network::Layers::kAll, 1e-3, words.seed);
  Stream images(known, words.seed);
  for (long step = 0; step < words.steps; ++step) {
    network.accumulate(images.take(kBatch), kBatch);
    network.update();
  }
  write_onnx(words.out, network.weights());
  std::printf("trained on the digits 0 to %d: %.1f %% of all test images are right\n", kKnown - 1,
              100.0 * network.accuracy(digits.testing));
}

void update(const Words& words) {
  const Digits digits = read_digits(words.data);
  Network network(Network::Layers::kLast, 1e-3, words.seed);
  network.load(read_onnx(words.model));
  std::printf("before: %.1f %% of the test images are right\n", 100.0 * network.accuracy(digits.testing));
  std::fflush(stdout);
  Stream images(digits.training, words.seed);
  // The first computation sets things up that are no part of a step.
  network.accumulate(images.take(kBatch), kBatch);
  network.discard();
  const auto cost = network.cost();
  polythrottle::Steps steps({.items = kBatch,
                             .pieces = {kBatch, 16, 8, 4},
                             .steps = words.steps,
                             .macs = cost.macs,
                             .weights = cost.weights,
                             .activations = cost.activations,
                             .kernels = cost.kernels});
  for (long step = 0; step < words.steps; ++step) {
    double loss = 0.0;
    for (int left = kBatch; left > 0;) {
      const int items = steps.wait(left);
      loss += network.accumulate(images.take(items), kBatch);
      left -= items;
      if (left == 0) network.update();
      steps.done(items);
    }
    if (step % 25 == 0) {
      std::printf("step %ld: loss %.3f\n", step, loss);
      std::fflush(stdout);
    }
  }
  steps.end();
  write_onnx(words.out, network.weights());
  std::printf("after: %.1f %% of the test images are right\n", 100.0 * network.accuracy(digits.testing));
}

void accuracy(const Words& words) {
  const Digits digits = read_digits(words.data);
  Network network(Network::Layers::kLast, 1e-3, words.seed);
  network.load(read_onnx(words.model));
  std::printf("%.6f\n", network.accuracy(digits.testing));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fine-tunes a small network beside the server that serves it", "finetune");
  app.require_subcommand(1);
  Words words;
  const auto add = [&](const char* name, const char* about, auto run) {
    CLI::App* command = app.add_subcommand(name, about);
    command->add_option("--data", words.data, "Images: digits.csv")->required()->check(CLI::ExistingFile);
    command->add_option("--seed", words.seed, "Of the order of images")->capture_default_str();
    command->callback([&words, run] { run(words); });
    return command;
  };
  const auto trains = [&](CLI::App* command) {
    command->add_option("--steps", words.steps, "Steps of 32 images")->check(CLI::Range(1, 1'000'000))->capture_default_str();
    command->add_option("--out", words.out, "ONNX file to write")->required();
  };
  trains(add("pretrain", "Trains on the digits 0 to 6", pretrain));
  CLI::App* last = add("update", "Trains the last layers of a model on all digits", update);
  trains(last);
  CLI::App* test = add("accuracy", "Prints the share of test images that a model has right", accuracy);
  for (CLI::App* command : {last, test}) command->add_option("--model", words.model, "ONNX file")->required()->check(CLI::ExistingFile);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "finetune: %s\n", error.what());
    return 1;
  }
  return 0;
}
