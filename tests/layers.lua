---`make layers`: which folder may know which. Reads every `require "lunette..."` and
---every #include "..."; names what goes up, and every circle of files.
local lfs = require "lfs"

-- From the bottom to the top: a folder knows itself and those before it. Folders of
-- one list know nothing of each other.
local lua_folders = { "base", "tensors", "trace", "picture", "layers",
                      { "score", "modifiers" }, "net", "models", "weights", "explain",
                      "methods", "onnx", "metrics", "attack", "trust", "rank",
                      "train", "features", "glyphs", "audit",
                      "sweep", "report", "commands", "", "repl" }
local c_folders = { "engine/kernels", "engine", "engine/ops",
                    { "engine/picture", "engine/import" }, "engine/bind" }

-- The library's face and the program (init.lua, main.lua: "") hand out everything, so
-- they may know all folders; the session alone knows them. The core is for all.
local faces = { [""] = true }
local public = { ["engine/lunette.h"] = true } -- the header that every folder reads


local function ranks(folders)
  local rank = {}
  for i, f in ipairs(folders) do
    for _, name in ipairs(type(f) == "table" and f or { f }) do rank[name] = i end
  end
  return rank
end


local function read(path)
  local f = assert(io.open(path, "r"))
  local text = f:read "a"
  f:close()
  return text
end


---All files below `folder` with that suffix, sorted.
local function files_of(folder, suffix, list)
  list = list or {}
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    if lfs.attributes(path, "mode") == "directory" then
      if not name:find "^%." then files_of(path, suffix, list) end
    elseif name:find(suffix) then
      list[#list + 1] = path
    end
  end
  table.sort(list)
  return list
end


local function exists(path) return lfs.attributes(path, "mode") == "file" end


-- what a file knows ------------------------------------------------------------------


---Modules that a Lua file requires, wherever in it; comments and examples do not count.
local function required(path)
  local list = {}
  for line in read(path):gmatch "[^\n]+" do
    if not line:find "^%s*%-%-" then
      for name in line:gmatch 'require%s*%(?%s*"lunette([%w_.]*)"' do
        local base = "lua/lunette" .. name:gsub("%.", "/")
        local found = exists(base .. ".lua") and base .. ".lua"
          or exists(base .. "/init.lua") and base .. "/init.lua"
        if found then list[#list + 1] = found end
      end
    end
  end
  return list
end


---"a/b/../c" as "a/c".
local function plain(path)
  local n
  repeat
    path, n = path:gsub("[^/]+/%.%./", "", 1)
  until n == 0
  return path
end


local function included(path)
  local list = {}
  for name in read(path):gmatch '#include "([^"]+)"' do
    local found = plain(path:match "^(.*)/" .. "/" .. name)
    if exists(found) then list[#list + 1] = found end
  end
  return list
end


---file -> files that it knows
local function graph_of(files, known)
  local graph = {}
  for _, path in ipairs(files) do graph[path] = known(path) end
  return graph
end


local function sorted(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = key end
  table.sort(list)
  return list
end


-- what is wrong ----------------------------------------------------------------------


---"from -> to" for every edge that goes up.
local function upward(graph, rank, folder_of)
  local wrong = {}
  for path, list in pairs(graph) do
    local from = folder_of(path)
    for _, other in ipairs(list) do
      local to = folder_of(other)
      local fine = from == to or faces[from] or public[other]
        or (rank[from] and rank[to] and rank[to] < rank[from])
      if not fine then wrong[path .. " -> " .. other] = true end
    end
  end
  return wrong
end


---The circle that leads from `start` back to it, shortest first, or nil.
local function circle_at(graph, start)
  local came, queue, at = { [start] = false }, { start }, 1
  while queue[at] do
    local path = queue[at]
    at = at + 1
    for _, other in ipairs(graph[path] or {}) do
      if other == start then
        local list = { start }
        while path do
          table.insert(list, 2, path)
          path = came[path]
        end
        if list[2] == start then table.remove(list, 2) end
        list[#list + 1] = #list > 1 and start or nil
        return list
      end
      if came[other] == nil then
        came[other] = path
        queue[#queue + 1] = other
      end
    end
  end
  return nil
end


---Every circle once, as "a -> b -> a" from its first file on.
local function circles(graph)
  local found, seen = {}, {}
  for _, path in ipairs(sorted(graph)) do
    local list = not seen[path] and circle_at(graph, path)
    if list then
      for _, p in ipairs(list) do seen[p] = true end
      found[table.concat(list, " -> ")] = true
    end
  end
  return found
end


local function lua_folder(path)
  return path:match "^lua/lunette/([%w_]+)/" or ""
end


local function c_folder(path) return path:match "^(.*)/" end


local function check()
  local lua = graph_of(files_of("lua/lunette", "%.lua$"), required)
  for path in pairs(lua) do
    if path:find "%.meta%.lua$" then lua[path] = nil end -- comments on the C part
  end
  local c = graph_of(files_of("engine", "%.[ch]$"), included)
  local wrong = {}
  for _, set in ipairs { upward(lua, ranks(lua_folders), lua_folder), circles(lua),
                         upward(c, ranks(c_folders), c_folder), circles(c) } do
    for text in pairs(set) do wrong[text] = true end
  end
  return wrong, #sorted(lua), #sorted(c)
end


local advice = [[
layers: %d of these go up or round. A folder may know those before it: %s;
in C %s. Move the shared part down, or hand it in.]]


---The folders in their order, as text.
local function order_of(folders)
  local list = {}
  for i, f in ipairs(folders) do
    list[i] = type(f) == "table" and table.concat(f, " and ") or f
    if f == "" then list[i] = "init.lua" end
  end
  return table.concat(list, ", ")
end


local function main()
  local wrong, lua, c = check()
  local list = sorted(wrong)
  for _, text in ipairs(list) do print("layers: " .. text) end
  if #list > 0 then
    print(advice:format(#list, order_of(lua_folders), order_of(c_folders)))
  end
  print(("layers: %d Lua and %d C files, %d imports against the order"):format(lua, c,
    #list))
  return lua > 0 and c > 0 and #list == 0
end


os.exit(main())
