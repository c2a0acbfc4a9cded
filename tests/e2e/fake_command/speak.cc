#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "modes.h"

namespace fake {
namespace {

void answer(const std::string& line) { std::cout << line << std::endl; }

/// The number behind "NAME": in a line.
double member(const std::string& line, const std::string& name) {
  const auto at = line.find("\"" + name + "\":");
  return at == std::string::npos ? -1.0 : std::atof(line.c_str() + at + name.size() + 3);
}

/// Is there a line to read? None may wait in the stream's own buffer: what is said comes one line at a time.
bool told() {
  pollfd in{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&in, 1, 0) > 0;
}

void window(const std::string& how, const std::string& line, const Task& task, int batch) {
  const int number = static_cast<int>(member(line, "begin"));
  const double latency = task.latency * batch, until = now() + member(line, "seconds");
  int count = 0;
  std::string latencies;
  while (how == "steps-batches" ? !told() : now() < until) {
    work(latency);
    ++count;
    if (how == "steps-batches")
      answer("{\"latency_seconds\": " + std::to_string(latency) + ", \"inferences\": " + std::to_string(batch) + "}");
    latencies += (latencies.empty() ? "" : ",") + std::to_string(latency);
  }
  if (how == "steps-batches") {
    answer("{\"ended\": " + std::to_string(number) + "}");
  } else if (how == "steps-wrong") {
    answer("{\"ended\": " + std::to_string(number + 5) + "}");
  } else if (how != "steps-mute") {
    answer("{\"ended\": " + std::to_string(number) + ", \"inferences\": " + std::to_string(count * batch) + ", \"latencies_seconds\": [" +
           latencies + "]}");
  }
}

}  // namespace

int speak(const std::string& how, const Task& task) {
  std::setvbuf(stdin, nullptr, _IONBF, 0);
  work(task.load);
  std::fprintf(stderr, "loaded\n");
  int batch = 1;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find("\"polythrottle\":") != std::string::npos) {
      std::cout << "this is no answer" << std::endl;
      if (how != "steps-deaf") answer(how == "steps-version" ? "{\"polythrottle\": 2}" : "{\"polythrottle\": 1}");
    } else if (line.find("\"configure\":") != std::string::npos) {
      if (const double level = member(line, "batch"); level > 0) batch = static_cast<int>(level);
      if (how == "steps-refuses" && batch == 4) {
        answer("{\"refused\": \"4 does not fit\"}");
      } else if (how == "steps-fails" && batch == 4) {
        answer("{\"failed\": \"out of memory\"}");
      } else {
        answer("{\"configured\": true}");
      }
    } else if (line.find("\"begin\":") != std::string::npos) {
      if (how == "steps-dies") {
        std::fprintf(stderr, "out of luck\n");
        return 9;
      }
      window(how, line, task, batch);
    }
  }
  return 0;
}

}  // namespace fake
