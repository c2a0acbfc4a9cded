// The static program loads no shared libraries: they would want the very C library that it was linked with, and the board has another.
// SQLite's archive calls these functions (for extensions, which we never load); the linker's --wrap leads such calls here.

extern "C" {

void* __wrap_dlopen(const char*, int) { return nullptr; }
void* __wrap_dlsym(void*, const char*) { return nullptr; }
int __wrap_dlclose(void*) { return -1; }
char* __wrap_dlerror() {
  static char text[] = "this static program loads no shared libraries";
  return text;
}
}
