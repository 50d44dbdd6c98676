# floor(NAME SOURCES … USES …): one static library a floor, pg_NAME. Who may use whom is written once, in the USES of
# each floor, and checked for every #include by tests/lint/layers.py.
function(floor name)
  cmake_parse_arguments(FLOOR "" "" "SOURCES;USES" ${ARGN})
  add_library(pg_${name} STATIC ${FLOOR_SOURCES})
  target_include_directories(pg_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(pg_${name} PUBLIC photogate_flags ${FLOOR_USES})
endfunction()

# embed(TARGET FILE SYMBOL): the file's bytes as `const char SYMBOL[]` and `const size_t SYMBOL_len` in the target.
function(embed target file symbol)
  get_filename_component(path ${file} ABSOLUTE)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.c)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DIN=${path} -DOUT=${out} -DSYMBOL=${symbol} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${path} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
