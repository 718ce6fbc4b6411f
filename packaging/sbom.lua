-- sbom.lua VERSION COMMIT FOLDER - writes FOLDER/lunette-VERSION.spdx, a bill of
-- materials (SPDX 2.3, tag-value), and FOLDER/lunette-VERSION.md, one page for those who
-- have to keep records of the software they use. What is needed and why is deps.txt's,
-- versions are those of the packages installed here, known anomalies docs/anomalies.md's.
local version, commit, folder = arg[1], arg[2], arg[3]

---What each package of the kind "build" is to Lunette, and its licence.
---tool: builds it, no part of it; static, dynamic: linked; runtime: needed when it runs.
local known = {
  gcc = { "tool", "GPL-3.0-or-later WITH GCC-exception-3.1" },
  make = { "tool", "GPL-3.0-or-later" },
  ["pkg-config"] = { "tool", "GPL-2.0-or-later" },
  ["libc6-dev"] = { "dynamic", "LGPL-2.1-or-later" },
  ["lua5.4"] = { "runtime", "MIT" },
  ["liblua5.4-dev"] = { "dynamic", "MIT" },
  ["libopenblas-dev"] = { "dynamic", "BSD-3-Clause" },
  ["libjansson-dev"] = { "dynamic", "MIT" },
  ["libstb-dev"] = { "static", "MIT OR Unlicense" },
  ["fonts-dejavu-core"] = { "runtime", "Bitstream-Vera" },
  ["libcgif-dev"] = { "dynamic", "MIT" },
  ["libreadline-dev"] = { "dynamic", "GPL-3.0-or-later" },
  ["libhdf5-dev"] = { "static", "BSD-3-Clause" },
  ["libseccomp-dev"] = { "dynamic", "LGPL-2.1-only" },
  ["libssl-dev"] = { "dynamic", "Apache-2.0" },
  ["zlib1g-dev"] = { "dynamic", "Zlib" },
  ["lua-argparse"] = { "runtime", "MIT" },
  ["lua-filesystem"] = { "runtime", "MIT" },
  curl = { "runtime", "curl" },
  ["ca-certificates"] = { "runtime", "MPL-2.0 AND GPL-2.0-or-later" },
}
local relations = {
  tool = "SPDXRef-%s BUILD_TOOL_OF SPDXRef-lunette",
  static = "SPDXRef-lunette STATIC_LINK SPDXRef-%s",
  dynamic = "SPDXRef-lunette DYNAMIC_LINK SPDXRef-%s",
  runtime = "SPDXRef-%s RUNTIME_DEPENDENCY_OF SPDXRef-lunette",
}


local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local text = pipe:read "a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end


local function read(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end


local function write(path, lines)
  local f <close> = assert(io.open(path, "w"))
  assert(f:write(table.concat(lines, "\n"), "\n"))
  print("wrote " .. path)
end


---Packages of the kind "build" in deps.txt.
local function dependencies()
  local list = {}
  for line in read "deps.txt":gmatch "[^\n]+" do
    local name, why = line:match "^build%s+(%S+)%s+(.*)$"
    if name then
      local about = known[name] or error(("packaging/sbom.lua knows no role and licence "
        .. "of '%s', which deps.txt names"):format(name), 0)
      local installed = output_of("dpkg-query -W -f '${Version}' " .. name)
      list[#list + 1] = { name = name, why = why, role = about[1], licence = about[2],
                          version = installed ~= "" and installed or nil }
    end
  end
  return list
end


---The time of the commit, so that the same commit gives the same file.
local function created()
  local seconds = os.getenv "SOURCE_DATE_EPOCH"
    or output_of "git -c safe.directory='*' log -1 --format=%ct"
  return os.date("!%Y-%m-%dT%H:%M:%SZ", tonumber(seconds))
end


local function package(lines, name, fields)
  table.move({ "", "PackageName: " .. name, "SPDXID: SPDXRef-" .. name,
               "PackageVersion: " .. (fields.version or "NOASSERTION"),
               "PackageDownloadLocation: NOASSERTION", "FilesAnalyzed: false",
               "PackageLicenseConcluded: " .. fields.licence,
               "PackageLicenseDeclared: " .. fields.licence,
               "PackageCopyrightText: NOASSERTION" }, 1, 9, #lines + 1, lines)
  if fields.why then
    lines[#lines + 1] = ("PackageComment: <text>%s</text>"):format(fields.why)
  end
end


local function spdx(list)
  local lines = {
    "SPDXVersion: SPDX-2.3", "DataLicense: CC0-1.0", "SPDXID: SPDXRef-DOCUMENT",
    "DocumentName: lunette-" .. version,
    ("DocumentNamespace: https://lunette.invalid/spdx/lunette-%s-%s"):format(version,
                                                                          commit),
    "Creator: Tool: lunette-packaging-sbom", "Created: " .. created(),
  }
  package(lines, "lunette", { version = version .. "+" .. commit, licence = "MIT" })
  for _, d in ipairs(list) do package(lines, d.name, d) end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-lunette"
  for _, d in ipairs(list) do
    lines[#lines + 1] = "Relationship: " .. relations[d.role]:format(d.name)
  end
  return lines
end


---How many tests there are at least, and in how many files.
local function tests()
  local sum, n = 0, 0
  for count in read "tests/counts.txt":gmatch "%s(%d+)%f[\n\0]" do
    sum, n = sum + math.tointeger(count), n + 1
  end
  return sum, n
end


local function sheet(list)
  local sum, n = tests()
  local lines = {
    ("# Lunette %s (commit %s)"):format(version, commit), "",
    "What it is: software that explains the outputs of image classifiers: attribution "
      .. "maps, their metrics, their records.",
    "What it is not: a medical device, nor part of one. A map is evidence about a "
      .. "network, not about what a picture shows.", "",
    "Licence: MIT. Made from one commit; `lunette --version` prints it, with the "
      .. "instruction set, the libraries and the compiler.", "",
    "## Dependencies", "",
    "| package | version here | licence | is | why |", "|---|---|---|---|---|",
  }
  for _, d in ipairs(list) do
    lines[#lines + 1] = ("| %s | %s | %s | %s | %s |"):format(d.name,
      d.version or "not installed", d.licence, d.role, d.why)
  end
  for _, line in ipairs {
    "", "Line editing is an object of its own (`readline.so`), loaded by the session "
      .. "alone; nothing else links GPL code.", "",
    "## Verification", "",
    ("At least %d tests in %d files (`tests/counts.txt`; a file with fewer is a "
      .. "failure). `make test` runs them, `.ci/run` runs them again under "
      .. "AddressSanitizer and UBSan, with two compilers, and on emulated ARM; both end "
      .. "with `N passed, N failed, N skipped`. What each kind is compared with: "
      .. "docs/testing.md. Files from outside: SECURITY.md, docs/reliability.md."):format(
      sum, n), "",
    "Records: every picture has a `.json` beside it with method, options, network and "
      .. "its SHA-256, class, version, commit and instruction set.", "",
    "## Known anomalies", "",
  } do lines[#lines + 1] = line end
  local list_of = read "docs/anomalies.md":match "\n(%-.*)$"
  lines[#lines + 1] = (list_of:gsub("%s+$", ""))
  return lines
end


local list = dependencies()
assert(os.execute(("mkdir -p '%s'"):format(folder)))
write(("%s/lunette-%s.spdx"):format(folder, version), spdx(list))
write(("%s/lunette-%s.md"):format(folder, version), sheet(list))
