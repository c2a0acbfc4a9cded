# Headers of ONNX Runtime. Only these are needed to build: the library itself is loaded at run time (see src/engine/onnx.cc).
# Looked for in ONNXRUNTIME_INCLUDE_DIR, the system (Debian 13, Ubuntu, JetPack), and the cache folder that scripts/fetch-onnxruntime fills.
add_library(polythrottle_onnxruntime_headers INTERFACE)
if(POLYTHROTTLE_STATIC)
  return()  # there is no dlopen to load it with
endif()
if(DEFINED ENV{XDG_CACHE_HOME})
  set(polythrottle_cache $ENV{XDG_CACHE_HOME}/polythrottle)
else()
  set(polythrottle_cache $ENV{HOME}/.cache/polythrottle)
endif()
find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h
          HINTS ${polythrottle_cache}/onnxruntime/include
          PATH_SUFFIXES onnxruntime onnxruntime/core/session)
if(ONNXRUNTIME_INCLUDE_DIR)
  message(STATUS "ONNX Runtime headers: ${ONNXRUNTIME_INCLUDE_DIR}")
  target_include_directories(polythrottle_onnxruntime_headers SYSTEM INTERFACE ${ONNXRUNTIME_INCLUDE_DIR})
  target_compile_definitions(polythrottle_onnxruntime_headers INTERFACE POLYTHROTTLE_HAVE_ONNXRUNTIME=1)
else()
  message(STATUS "ONNX Runtime headers: not found; built without that engine (scripts/fetch-onnxruntime gets them)")
endif()
