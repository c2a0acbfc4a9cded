// The same as steps.py in C++ (docs/command.md).
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

using nlohmann::json;

void say(const json& answer) { std::cout << answer << std::endl; }

bool told_something() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&input, 1, 0) > 0;
}

int main() {
  int batch = 1;
  for (std::string line; std::getline(std::cin, line);) {
    const json told = json::parse(line);
    if (told.contains("polythrottle")) {
      say({{"polythrottle", 1}});  // the network is loaded by now
    } else if (told.contains("configure")) {
      batch = told["configure"]["batch"];
      say({{"configured", true}});  // or {"refused", "why"}
    } else if (told.contains("begin")) {
      while (!told_something()) {  // until it is told that the window ends
        const auto began = std::chrono::steady_clock::now();
        std::this_thread::sleep_for(std::chrono::milliseconds(1 + batch));  // here it would infer
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        say({{"latency_seconds", took.count()}, {"inferences", batch}});
      }
      std::getline(std::cin, line);
      say({{"ended", told["begin"]}});
    }
  }
}
