#pragma once
// A loaded ONNX file: its session, and its inputs and outputs as the file tells them.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "engine/onnx_runtime.h"

namespace polythrottle::onnx {

/// An input or output.
struct Port {
  TensorInfo info;
  const ElementType* type = nullptr;  ///< nullptr: a sequence, a map, or an element type we cannot fill
};

struct Session {
  const Runtime* runtime = nullptr;
  Owned<OrtSession> session;
  ModelInfo model;  ///< `fixed_batch` is not yet decided
  std::vector<Port> inputs, outputs;
};
/// Errors: those of open_onnx, but for what depends on dimensions and inputs.
Result<Session> open_session(const std::string& path, const EngineOptions& options);

}  // namespace polythrottle::onnx
