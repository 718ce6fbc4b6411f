---Which pictures a command is about: files, folders with all that is below them, and
---lists of paths, in one order on every machine.
local files = require "lunette.base.files"
local folders = require "lunette.base.folders"
local lfs = require "lfs"

local M = {}

---@class lunette.Input
---@field path string
---@field below string   the folder below the one that was named: "a/b", "" for none


---What one sign of a shell's pattern means, and how long it is.
local function sign_of(glob, at)
  local no, set = glob:match("^%[(!?)(%]?[^%]]*)%]", at)
  if set and set ~= "" then
    return ("[%s%s]"):format(no == "!" and "^" or "", (set:gsub("[%%%^%]%[]", "%%%0"))),
      #no + #set + 2
  end
  local one = glob:sub(at, at)
  return one == "*" and ".*" or one == "?" and "." or one:gsub("%p", "%%%0"), 1
end


---A shell's pattern as one of Lua's: `*` any text, `?` one character, `[a-c]` one of
---these, `[!a-c]` one that is none of these.
local function pattern_of(glob)
  local list, at = {}, 1
  while at <= #glob do
    local sign, length = sign_of(glob, at)
    list[#list + 1], at = sign, at + length
  end
  return "^" .. table.concat(list) .. "$"
end


---What is said of a file's name: that it matches, or, where no pattern was given, that
---it ends as pictures do.
local function test_of(glob)
  if not glob then return folders.is_picture end
  local pattern = pattern_of(glob)
  return function(name) return name:find(pattern) ~= nil end
end


local function same_file(a, b)
  local x, y = lfs.attributes(a), lfs.attributes(b)
  return x ~= nil and y ~= nil and x.ino == y.ino and x.dev == y.dev
end


local walk


---Adds one name of a folder: itself, or what is below it.
local function add(list, path, name, below, o)
  if lfs.symlinkattributes(path, "mode") ~= "directory" then
    if o.wanted(name) and files.exists(path) then
      list[#list + 1] = { path = path, below = below }
    end
    return true
  end
  if name:find "^%." or o.out and same_file(path, o.out) then return true end
  return walk(list, path, below == "" and name or below .. "/" .. name, o)
end


---Adds what is below a folder. Links to files are followed, links to folders are not;
---hidden folders and the one that is written to are left out.
function walk(list, folder, below, o)
  local names, message = folders.names(folder)
  if not names then return nil, message end
  for _, name in ipairs(names) do
    local path = (folder == "/" and "" or folder) .. "/" .. name
    local ok
    ok, message = add(list, path, name, below, o)
    if not ok then return nil, message end
  end
  return true
end


---The lines of a list of paths, empty ones left out; "-" is standard input.
---@param path string
---@return string[]? lines, string? message
function M.lines(path)
  local text, message
  if path == "-" then
    text = io.stdin:read "a"
  else
    text, message = files.read(path)
  end
  if not text then return nil, ("cannot read list '%s': %s"):format(path, message) end
  local lines = {}
  for line in text:gmatch "[^\r\n]+" do
    if line:find "\0" then
      return nil, ("list '%s': line %d has a NUL: no path"):format(path, #lines + 1)
    end
    lines[#lines + 1] = line
  end
  return lines
end


---A folder's pictures; nil where they would be mixed with what is written.
local function add_folder(list, path, o)
  if o.out and same_file(path, o.out) then
    return nil, ("--out '%s' is the folder of the pictures: what is written would be "
      .. "explained the next time; give another"):format(o.out)
  end
  return walk(list, #path > 1 and path:gsub("/+$", "") or path, "", o)
end


---Every picture that is meant, in order: what was named, folders with all that is below
---them, then the list.
---@param named string[]     files and folders
---@param opts { list?: string, match?: string, out?: string }   `match`: of the files
---  in folders those whose names match, "*.jpg"; `out`: a folder that is left out
---@return lunette.Input[]? inputs, string? message
function M.find(named, opts)
  local list, o = {}, { wanted = test_of(opts.match), out = opts.out }
  for _, path in ipairs(named) do
    local ok, message = true, nil
    if lfs.attributes(path, "mode") == "directory" then
      ok, message = add_folder(list, path, o)
    else
      list[#list + 1] = { path = path, below = "" }
    end
    if not ok then return nil, message end
  end
  local lines, message = {}, nil
  if opts.list then lines, message = M.lines(opts.list) end
  if not lines then return nil, message end
  for _, path in ipairs(lines) do list[#list + 1] = { path = path, below = "" } end
  return list
end

return M
