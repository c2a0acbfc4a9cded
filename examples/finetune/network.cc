#include "network.h"

#include <torch/torch.h>

#include <stdexcept>

namespace {

constexpr int kSide = 8, kFirst = 64, kSecond = 128, kThird = 128, kHidden = 256, kDigits = 10;
constexpr int kFlat = kThird * (kSide / 2) * (kSide / 2);

torch::nn::Conv2d convolution(int from, int to) { return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, 3).padding(1)); }

struct Net : torch::nn::Module {
  Net() {
    conv1 = register_module("conv1", convolution(1, kFirst));
    conv2 = register_module("conv2", convolution(kFirst, kSecond));
    conv3 = register_module("conv3", convolution(kSecond, kThird));
    fc1 = register_module("fc1", torch::nn::Linear(kFlat, kHidden));
    fc2 = register_module("fc2", torch::nn::Linear(kHidden, kDigits));
  }
  torch::Tensor forward(torch::Tensor x) {
    x = torch::relu(conv1->forward(x));
    x = torch::relu(conv2->forward(x));
    x = torch::max_pool2d(torch::relu(conv3->forward(x)), 2);
    return fc2->forward(torch::relu(fc1->forward(x.flatten(1))));
  }
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
};

std::pair<torch::Tensor, torch::Tensor> tensors(std::span<const Digit> images) {
  const auto count = static_cast<std::int64_t>(images.size());
  auto pixels = torch::empty({count, 1, kSide, kSide});
  auto labels = torch::empty({count}, torch::kInt64);
  for (std::int64_t i = 0; i < count; ++i) {
    const Digit& digit = images[static_cast<std::size_t>(i)];
    std::copy(digit.pixels.begin(), digit.pixels.end(), pixels.data_ptr<float>() + i * kSide * kSide);
    labels.data_ptr<std::int64_t>()[i] = digit.label;
  }
  return {pixels, labels};
}

std::vector<torch::Tensor> trained(Net& net, Network::Layers layers) {
  std::vector<torch::Tensor> out;
  for (auto& item : net.named_parameters()) {
    const bool last = item.key().starts_with("fc");
    item.value().set_requires_grad(last || layers == Network::Layers::kAll);
    if (item.value().requires_grad()) out.push_back(item.value());
  }
  return out;
}

}  // namespace

struct Network::State {
  State(Layers layers, double rate) : layers(layers), adam(trained(net, layers), torch::optim::AdamOptions(rate)) {}
  Layers layers;
  Net net;
  torch::optim::Adam adam;
};

Network::Network(Layers layers, double rate, std::uint64_t seed) {
  // One thread: the other CPUs are inference's.
  at::set_num_threads(1);
  torch::manual_seed(seed);
  state_ = std::make_unique<State>(layers, rate);
}
Network::~Network() = default;

void Network::load(const WeightMap& weights) {
  const torch::NoGradGuard untracked;
  for (auto& item : state_->net.named_parameters()) {
    const auto found = weights.find(item.key());
    if (found == weights.end() || item.value().sizes().vec() != found->second.shape ||
        static_cast<std::size_t>(item.value().numel()) != found->second.values.size())
      throw std::runtime_error("the model has no '" + item.key() + "' of this network's shape");
    std::copy(found->second.values.begin(), found->second.values.end(), item.value().data_ptr<float>());
  }
}

WeightMap Network::weights() const {
  WeightMap out;
  for (const auto& item : state_->net.named_parameters()) {
    const auto tensor = item.value().detach().contiguous();
    out.emplace(item.key(), Weights{tensor.sizes().vec(), {tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel()}});
  }
  return out;
}

double Network::accumulate(std::span<const Digit> images, int of) {
  const auto [pixels, labels] = tensors(images);
  const auto sum = torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum);
  const auto loss = torch::nn::functional::cross_entropy(state_->net.forward(pixels), labels, sum) / of;
  loss.backward();
  return loss.item<double>();
}

void Network::update() {
  state_->adam.step();
  discard();
}

void Network::discard() { state_->adam.zero_grad(); }

double Network::accuracy(std::span<const Digit> images) const {
  const torch::NoGradGuard untracked;
  const auto [pixels, labels] = tensors(images);
  return state_->net.forward(pixels).argmax(1).eq(labels).to(torch::kFloat64).mean().item<double>();
}

Network::Cost Network::cost() const {
  constexpr double kPixels = kSide * kSide;
  const double convolutions = kPixels * 9.0 * (1.0 * kFirst + kFirst * kSecond + kSecond * kThird);
  const double products = static_cast<double>(kFlat) * kHidden + kHidden * kDigits;
  const double outputs = kPixels * (1 + kFirst + kSecond + kThird) + kFlat + kHidden + kDigits;
  const bool all = state_->layers == Layers::kAll;
  double weights = 0.0;
  for (const auto& parameter : state_->net.parameters()) weights += static_cast<double>(parameter.numel());
  // A trained layer's backward is two products as large as its forward: gradients of its inputs and of its weights.
  return {.macs = convolutions * (all ? 3.0 : 1.0) + products * 3.0,
          .activations = outputs * (all ? 3.0 : 1.5),
          .weights = weights * 3.0,
          .kernels = all ? 60.0 : 30.0};
}
