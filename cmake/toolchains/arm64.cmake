# Cross-compiling for 64-bit Arm with Debian's compiler and Debian's arm64 libraries beside the build machine's own (scripts/setup static).
# Its C++ compiler makes code for armv8-a, the first generation (Jetson TX2, Nano); newer atomics are chosen at run time.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# Debian 12's libraries stand in /usr/lib/aarch64-linux-gnu; those that are headers alone are of no architecture.
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# Not a warning but a note that gcc 10 changed how such a parameter is passed: everything here is compiled by one compiler.
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)
