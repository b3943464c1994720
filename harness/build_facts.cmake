# Writes build_facts.h: version, revision, and a digest of every source and setting that can change a number (DESIGN 7).
# Run at each build; the file is touched only when its text changes.
#   cmake -DSOURCE=... -DOUT=... -DVERSION=... -DCOMPILER=... -DLIBRARIES=... -P build_facts.cmake
set(parts "${COMPILER}")
foreach(folder core datasets compressors engine runners metrics)
  file(GLOB_RECURSE sources RELATIVE ${SOURCE} ${SOURCE}/${folder}/*.c ${SOURCE}/${folder}/*.h ${SOURCE}/${folder}/*.cu ${SOURCE}/${folder}/*.cuh ${SOURCE}/${folder}/CMakeLists.txt)
  list(SORT sources)
  foreach(source ${sources})
    file(SHA256 ${SOURCE}/${source} digest)
    string(APPEND parts "\n${source} ${digest}")
  endforeach()
endforeach()
string(SHA256 digest "${parts}")
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 OUTPUT_VARIABLE revision ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
file(CONFIGURE OUTPUT ${OUT} CONTENT [[/* Made by build_facts.cmake. */
#define BUILD_VERSION "@VERSION@"
#define BUILD_REVISION "@revision@"
#define BUILD_DIGEST "@digest@"
#define BUILD_COMPILER "@COMPILER@"
#define BUILD_LIBRARIES "@LIBRARIES@"
]] @ONLY)
