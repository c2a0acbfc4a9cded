// A job that speaks the step protocol and does nothing: step_job ITEMS HALF. Two steps. Or one that does wrong: step_job ITEMS
// die|garbage|eat.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <polythrottle/step.hpp>
#include <vector>

namespace {

/// It dies in the middle of its first step.
int die(int items) {
  polythrottle::Steps steps({items, {}, 2});
  steps.wait(items);
  std::abort();
}

/// It says what is no line of the protocol.
int garbage() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, std::getenv("POLYTHROTTLE_STEP_SOCKET"), sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 4;
  const std::string words = "\x01\xff{\"items\": [[[[\n";
  if (::write(socket, words.data(), words.size()) < 0) return 5;
  char byte = 0;
  while (::read(socket, &byte, 1) > 0) {
  }
  return 0;
}

/// It wants 4 GiB and touches them.
int eat() {
  std::vector<std::unique_ptr<char[]>> all;
  for (int i = 0; i < 1024; ++i) {
    constexpr std::size_t kSize = 4U << 20U;
    all.push_back(std::make_unique<char[]>(kSize));
    std::memset(all.back().get(), i, kSize);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int items = std::atoi(argv[1]);
  const std::string how = argv[2];
  if (how == "die") return die(items);
  if (how == "garbage") return garbage();
  if (how == "eat") return eat();
  polythrottle::Steps steps({items, {items, std::atoi(argv[2]), 1}, 2});
  std::puts(steps.governed() ? "governed" : "free");
  for (int step = 0; step < 2; ++step) {
    for (int left = items; left > 0;) {
      const int now = steps.wait(left);
      std::printf("%d\n", now);
      left -= now;
      steps.done(now);
    }
  }
  steps.end();
  std::puts("saved");
  return 0;
}
