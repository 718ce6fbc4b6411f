std = "lua54"
max_line_length = 88
max_cyclomatic_complexity = 12
codes = true
include_files = { "lua/**/*.lua", "scripts", "tests/lua", "tests/*.lua", "tests/mutants/*.lua", "tests/bench/*.lua" }
exclude_files = { "lua/**/*.meta.lua" }
files["tests/lua"] = { std = "+busted" }
